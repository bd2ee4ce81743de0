"""The install page, followed line by line on the real servers, and what the installed roles may and may not do."""
