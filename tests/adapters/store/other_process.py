"""Another process that writes: for each line of input one committed change, `python -m tests.adapters.store.other_process URL`."""

import sys

from sqlalchemy import create_engine, make_url, text


def main() -> None:
    url = make_url(sys.argv[1])
    driver = "postgresql+psycopg" if url.get_backend_name() == "postgresql" else "sqlite"
    engine = create_engine(url.set(drivername=driver))
    for _ in sys.stdin:
        with engine.begin() as connection:
            connection.execute(text("UPDATE numbers SET value = value + 1"))
        print("done", flush=True)


main()
