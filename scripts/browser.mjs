import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { UserError, say } from './support/console.mjs'
import { root } from './support/paths.mjs'
import { run, runNode } from './support/processes.mjs'

/** Names a browser to use before all others; also how one process tells its children what it found. */
const BROWSER_VARIABLE = 'GRAINMESH_BROWSER'

const COMMANDS = ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser', 'chrome']
const FULL_PATHS = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  String.raw`C:\Program Files\Google\Chrome\Application\chrome.exe`,
  String.raw`C:\Program Files (x86)\Google\Chrome\Application\chrome.exe`,
]

/**
 * Flags for every Chromium that runs the tests. Local addresses stay visible, because host candidates hidden behind
 * mDNS names need a multicast network that build machines do not have.
 */
export const BROWSER_FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  // Chromium's sandbox refuses to run as root
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
]

/**
 * The path of a Chrome or Chromium that starts: an installed one, else the one Playwright downloaded.
 * @returns {string | undefined}
 */
export function findBrowser() {
  const named = process.env[BROWSER_VARIABLE]
  if (named) return named
  const found = candidates().find((file) => existsSync(file) && starts(file))
  // children of this process, such as Playwright's workers, need not search again
  if (found) process.env[BROWSER_VARIABLE] = found
  return found
}

/**
 * Finds a browser or gets one: Playwright's own download, else, as root on Debian, the package `chromium`.
 * @returns {Promise<string>} its path
 */
export async function ensureBrowser() {
  /** @type {readonly (readonly [when: () => boolean, what: string, install: () => Promise<unknown>])[]} */
  const ways = [
    [() => true, 'Downloading one with Playwright (about 170 MB)', () => playwright('install', 'chromium')],
    [
      () => isRootOnDebian() && existsSync(playwrightDownload() ?? ''),
      'It does not start. Installing the libraries that it needs with apt',
      () => playwright('install-deps', 'chromium'),
    ],
    [isRootOnDebian, 'Installing the package chromium with apt', installWithApt],
  ]
  let found = findBrowser()
  if (!found) say('No Chrome or Chromium found.')
  for (const [when, what, install] of ways) {
    if (found) return found
    if (!when()) continue
    say(`${what} ...`)
    await install()
    found = findBrowser()
  }
  if (found) return found
  throw new UserError(
    `No browser could be found or installed. Install Chrome or Chromium, or set ${BROWSER_VARIABLE} to its path.`,
  )
}

/** @param {...string} args */
async function playwright(...args) {
  await runNode(path.join(root, 'node_modules/playwright/cli.js'), args, {
    env: { PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: '15000' },
    timeoutMs: 5 * 60_000,
  })
}

async function installWithApt() {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['update', '-qq'], { env })
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'chromium'], { env })
}

function isRootOnDebian() {
  if (process.getuid?.() !== 0) return false
  try {
    return /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return false
  }
}

/** @returns {string[]} */
function candidates() {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter)
  const onPath = COMMANDS.flatMap((command) => folders.map((folder) => path.join(folder, command)))
  const downloaded = playwrightDownload()
  return [...onPath, ...FULL_PATHS, ...(downloaded ? [downloaded] : [])]
}

/** @returns {string | undefined} */
function playwrightDownload() {
  try {
    return createRequire(import.meta.url)('playwright-core').chromium.executablePath()
  } catch {
    return undefined
  }
}

/**
 * Whether a browser's program really runs: some systems ship a stub that only tells to install another package, and a
 * download may lack shared libraries.
 * @param {string} file
 */
function starts(file) {
  // on Windows `chrome.exe --version` opens a window and prints nothing
  if (process.platform === 'win32') return true
  return spawnSync(file, ['--version'], { timeout: 20_000, stdio: 'ignore' }).status === 0
}
