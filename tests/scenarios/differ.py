"""The answers of address test mode are those of the real program, octet for octet."""
import sys

sys.path.insert(0, "/project/tests/differential")


def run(_stage):
    import main
    main.run(sys.argv[1:])
