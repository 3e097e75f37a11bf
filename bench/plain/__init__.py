"""Scripts as beginner articles write them, and CleanRL's habit of one file: neither improved nor slowed down."""
