"""Virtual time, fakes, contract checks, vendor simulators and a synthetic caller, for tests of agents and plugins."""
