// Histories of operations by many threads, and who judges them.
