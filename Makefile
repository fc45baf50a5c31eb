.PHONY: demo test check bench

# Brings two environments of a sample repository up side by side, and leaves them for you to explore.
demo:
	@.ci/demo

# Runs every test, against a real Engine with real servers; installs and starts what it needs.
test:
	@.ci/test

# Runs every check that continuous integration runs.
check:
	@.ci/check

# Measures envtree beside Docker Compose and git, and prints one table.
bench:
	@.ci/bench
