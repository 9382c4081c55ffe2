"""What every room stands on: arguments and arrays at the door, threads, memory that stays, optional packages."""
