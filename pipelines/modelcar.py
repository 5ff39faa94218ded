"""From a model to a served ModelCar: the command line of the pipelines.

python pipelines/modelcar.py --compile
python pipelines/modelcar.py --local  model=org/name image=oci:out:1 settings.base=embedded
python pipelines/modelcar.py --submit --host URL model=org/name image=docker://host/repo:1
"""

import sys

if __name__ == "__main__":
    try:  # the import takes seconds that Ctrl-C may end
        from carferry.io.interrupts import held_back

        with held_back():
            from carferry.pipelines.command import main

        sys.exit(main())
    except ModuleNotFoundError as error:
        if error.name != "carferry":
            raise
        print(
            "carferry is not installed for this Python: run .venv/bin/python"
            " pipelines/modelcar.py in the clone, or put its .venv/bin on PATH",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
