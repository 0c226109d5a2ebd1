curl -sSf "$WEB_URL/"
#> <p>users: 3</p>
