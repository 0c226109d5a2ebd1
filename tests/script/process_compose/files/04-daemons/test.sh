curl -sSf http://127.0.0.1:8104/up
kill -0 "$(cat cache.pid)" "$(cat nginx.pid)" && echo both
#> up
#> both
