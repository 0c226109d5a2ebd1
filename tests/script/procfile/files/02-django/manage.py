"""Stands in for Django: a database with a table of jobs, and a worker that does them."""
import sqlite3, sys, time

db = sqlite3.connect("db.sqlite3", isolation_level=None)
if sys.argv[1] == "migrate":
    db.execute("create table jobs (name text, done int default 0)")
else:
    while True:
        db.execute("update jobs set done = 1 where done = 0")
        time.sleep(0.05)
