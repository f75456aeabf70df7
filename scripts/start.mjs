/**
 * `npm start [-- --port 5173] [--host 127.0.0.1]`: serves the demo and the signaling server at one address, from
 * nothing but a clone.
 */
import { once } from 'node:events'
import http from 'node:http'
import os from 'node:os'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { bundleForNode } from './bundle.mjs'
import { buildDemo } from './demo.mjs'
import { serveFolders } from './static-files.mjs'
import { UserError, bold, fail, say } from './support/console.mjs'
import { ensureDependencies } from './support/dependencies.mjs'
import { demoFolder } from './support/paths.mjs'

const DEFAULT_PORT = 5173
/** How many ports after the default one are tried. */
const PORTS_TRIED = 20
/** Open tabs have this long to hear that the signaling server goes away. */
const DRAIN_MS = 500

try {
  const { host, port } = readArguments()
  await ensureDependencies()
  say('Building the demo ...')
  await buildDemo()
  /** @type {typeof import('../signaling-server/index.ts')} */
  const { createSignalingServer } = await import(
    pathToFileURL(await bundleForNode('signaling-server/index.ts')).href
  )
  const server = http.createServer(serveFolders({ '/': demoFolder }))
  // the first tab of a demo should not wait for tabs of an earlier run
  const signaling = createSignalingServer({ server, fresh: true })
  await listen(server, host, port)
  greet(server, host)
  stopOnSignal(server, signaling)
} catch (error) {
  fail(error)
}

/** @returns {{ host: string, port: number | undefined }} */
function readArguments() {
  const usage = 'Usage: npm start -- [--port 5173] [--host 127.0.0.1]'
  /** @type {{ port?: string | undefined, host?: string | undefined }} */
  let values
  try {
    values = parseArgs({ options: { port: { type: 'string' }, host: { type: 'string' } } }).values
  } catch (error) {
    throw new UserError(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
  }
  const host = values.host ?? '127.0.0.1'
  if (values.port === undefined) return { host, port: undefined }
  const port = Number(values.port)
  if (!/^\d+$/.test(values.port) || port > 65_535) {
    throw new UserError(
      `--port must be a number from 0 (any free one) to 65535, not "${values.port}".\n${usage}`,
    )
  }
  return { host, port }
}

/**
 * Listens at the port asked for, or where none was, at the first free one from the default port on.
 * @param {http.Server} server
 * @param {string} host
 * @param {number | undefined} wanted
 */
async function listen(server, host, wanted) {
  const first = wanted ?? DEFAULT_PORT
  const last = wanted === undefined ? first + PORTS_TRIED : first
  for (let port = first; port <= last; port++) {
    const problem = await tryPort(server, host, port)
    if (problem === undefined) return
    if (problem.code !== 'EADDRINUSE')
      throw new UserError(`Cannot listen at ${host}:${port}: ${problem.message}`)
    say(`Port ${port} is taken.`)
  }
  throw new UserError('No free port found. Choose one with --port, or 0 for any free one.')
}

/**
 * @param {http.Server} server
 * @param {string} host
 * @param {number} port
 * @returns {Promise<NodeJS.ErrnoException | undefined>}
 */
async function tryPort(server, host, port) {
  server.listen(port, host)
  try {
    await once(server, 'listening')
    return undefined
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error)
  }
}

/**
 * @param {http.Server} server
 * @param {string} host
 */
function greet(server, host) {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  say('Grainmesh is running. Open this address in several tabs:')
  for (const name of addresses(host)) console.log(`\n  ${bold(`http://${name}:${port}/`)}`)
  console.log(`
  Tabs with the same room (the part after #) become one cluster; "Open another tab" opens one more.
  Signaling is at the same address, as ws://. Stop with Ctrl+C.
`)
  if (addresses(host).length > 1) {
    console.log(`  Open the same address everywhere: over plain http only 127.0.0.1 gives a tab a key, and tabs with and
  without keys do not link.
`)
  }
}

/**
 * Names under which `host` can be opened in a browser. Not "localhost": that may be another program's [::1].
 * @param {string} host
 */
function addresses(host) {
  if (host !== '0.0.0.0' && host !== '::') return [host.includes(':') ? `[${host}]` : host]
  const others = Object.values(os.networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((entry) => entry.family === 'IPv4' && !entry.internal)
    .map((entry) => entry.address)
  return ['127.0.0.1', ...others]
}

/**
 * @param {http.Server} server
 * @param {import('../signaling-server/index.ts').SignalingServer} signaling
 */
function stopOnSignal(server, signaling) {
  let stopping = false
  const stop = async () => {
    // asked twice: go at once
    if (stopping) process.exit(130)
    stopping = true
    say('Stopping ...')
    server.close()
    await signaling.close({ drain: DRAIN_MS })
    server.closeAllConnections()
  }
  process.on('SIGINT', () => void stop())
  process.on('SIGTERM', () => void stop())
}
