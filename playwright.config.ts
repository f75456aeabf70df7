import { defineConfig } from '@playwright/test'
import { BROWSER_FLAGS, findBrowser } from './scripts/browser.mjs'

const full = process.env['GRAINMESH_FULL'] === '1'
const executablePath = findBrowser()

export default defineConfig({
  testDir: 'e2e',
  testMatch: '**/*.spec.ts',
  globalSetup: './e2e/support/global-setup.ts',
  outputDir: 'test-results/e2e',
  timeout: full ? 10 * 60_000 : 60_000,
  expect: { timeout: 15_000 },
  // the tabs of one test share two cores already; a second test beside it would only measure the machine
  workers: 1,
  fullyParallel: false,
  // a test that passes at the second try has found something
  retries: 0,
  forbidOnly: process.env['CI'] !== undefined,
  reporter: [['list']],
  use: {
    trace: 'off',
    launchOptions: {
      ...(executablePath === undefined ? {} : { executablePath }),
      args: BROWSER_FLAGS,
    },
  },
})
