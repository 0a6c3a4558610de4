"""The rules of Berth as pure values and functions: no clock, environment, disk, network, randomness or logging."""
