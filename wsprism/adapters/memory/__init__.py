"""What needs nothing outside: stores in this process's memory, each answer there at once."""
