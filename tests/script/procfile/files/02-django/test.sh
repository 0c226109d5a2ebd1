curl -sSf -X POST "$WEB_URL/" >/dev/null
until curl -sSf "$WEB_URL/" | grep "done: 1"; do sleep 0.1; done
#> done: 1
