"""One gateway as a process: how it runs and ends, what systemd is told, its open files, its log.

Called by the CLI; knows no protocol and no actor."""
