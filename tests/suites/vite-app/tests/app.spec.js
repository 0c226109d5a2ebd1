import { expect, test } from "@playwright/test";
import { readFileSync, writeFileSync } from "node:fs";

test("a button counts", async ({ page }) => {
    await page.goto("/");
    await page.locator("#more").click();
    await page.locator("#more").click();
    await expect(page.locator("#more")).toHaveText("2");
});

test("the API answers through the proxy", async ({ page }) => {
    await page.goto("/");
    await expect(page.locator("#greeting")).toHaveText("hello from the API");
});

test("an edit reaches the open page", async ({ page }) => {
    await page.goto("/");
    await expect(page.locator("#greeting")).toHaveText("hello from the API");
    const before = readFileSync("index.html", "utf8");
    writeFileSync("index.html", before.replace(">0<", ">40<"));
    await expect(page.locator("#more")).toHaveText("40", { timeout: 30_000 });
    writeFileSync("index.html", before);
});
