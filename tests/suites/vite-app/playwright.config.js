// No `webServer`: the scenario starts the servers and says in $BASE_URL where the application is. The browser is the
// system's own, which needs `--no-sandbox` when it runs as root.
export default {
    timeout: 60_000,
    reporter: "list",
    use: {
        baseURL: process.env.BASE_URL,
        launchOptions: { executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] },
    },
};
