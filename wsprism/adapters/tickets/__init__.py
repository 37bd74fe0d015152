"""Ways to judge a ticket, behind ``ports.Authenticator``."""
