"""A fleet of instances of the app, each a process with sessions of its own, behind one HTTP front, as on Functions."""
