# The server listens after 3 s, and where its command says, not on $PORT.
curl -sSf "$WEB_URL/Procfile.dev" | head -1
echo "$WEB_URL"
#> web: env RUBY_DEBUG_OPEN=true bin/rails server -p 3900
#> http://127.0.0.1:3900
