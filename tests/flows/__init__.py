"""The use cases of controller/flows from end to end, on the fakes and in virtual time."""
