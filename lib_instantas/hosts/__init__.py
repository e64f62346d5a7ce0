"""Everything that binds the engine to a program that runs it."""
