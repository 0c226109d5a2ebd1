#@ args: --task setup --task seed --ready web=/seeded.html
curl -sSf "$WEB_URL/seeded.html"
#> built
