.PHONY: demo test check oracle fuzz soak bench

# Brings two environments of a sample repository up side by side, and leaves them for you to explore.
demo:
	@.ci/demo

# Runs every test, against a real Engine with real servers; installs and starts what it needs.
test:
	@.ci/test

# Runs every check that continuous integration runs.
check:
	@.ci/check

# Compares what envtree reads in Compose files with what Docker Compose reads, on its own and on those below CORPUS.
oracle:
	@.ci/oracle $(CORPUS)

# Feeds mutated Compose files to the loader for LIMIT seconds, and keeps those that it cannot bear.
fuzz:
	@.ci/fuzz $(LIMIT)

# Does random things to environments from several processes for LIMIT seconds, and checks what came of it.
soak:
	@.ci/soak $(LIMIT)

# Measures envtree beside Docker Compose and git, and prints one table.
bench:
	@.ci/bench
