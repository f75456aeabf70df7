import { chromium, type Browser } from '@playwright/test'
import { load } from './project.ts'

interface BrowserScript {
  ensureBrowser(): Promise<string>
  readonly BROWSER_FLAGS: string[]
}

/** The browser that the tests use. */
export async function launch(): Promise<Browser> {
  const { ensureBrowser, BROWSER_FLAGS } = await load<BrowserScript>('scripts/browser.mjs')
  return chromium.launch({ executablePath: await ensureBrowser(), args: BROWSER_FLAGS })
}
