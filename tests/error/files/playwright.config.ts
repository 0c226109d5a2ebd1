import { defineConfig } from '@playwright/test';
export default defineConfig({
  webServer: [
    { command: 'npm run api', url: 'http://localhost:4000/health', timeout: 120 * 1000 },
    { command: 'npm run dev', port: 5173, reuseExistingServer: !process.env.CI },
  ],
});
