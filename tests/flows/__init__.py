"""The use cases of controller/flows as stories, on the fakes and in virtual time."""
