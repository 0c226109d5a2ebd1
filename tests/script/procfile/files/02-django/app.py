import sqlite3


def app(environ, start_response):
    db = sqlite3.connect("db.sqlite3", isolation_level=None)
    if environ["REQUEST_METHOD"] == "POST":
        db.execute("insert into jobs (name) values ('a')")
    done = db.execute("select sum(done) from jobs").fetchone()[0]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done: %d\n" % (done or 0)]
