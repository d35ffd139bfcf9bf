"""What the pages in docs/ tell people to do, done."""
