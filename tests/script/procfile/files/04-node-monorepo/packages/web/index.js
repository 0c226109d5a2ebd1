// It asks the other at its start, and ends without it.
const http = require("http");
http.get(process.env.API, (res) => res.on("data", (text) => {
    http.createServer((_, out) => out.end(`<p>${text}</p>\n`)).listen(process.env.PORT, "127.0.0.1");
}));
