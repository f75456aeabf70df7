import { spawn } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { build } from 'vite'
import { runCommand, USAGE } from '../../signaling-server/command.ts'
import { CloseCode } from '../../src/adapters/signaling/protocol.ts'
import { member, rawClient, until } from './support.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** What the command printed, and its exit code unless it runs. */
async function run(...args: string[]) {
  const out: string[] = []
  const err: string[] = []
  const running = await runCommand(args, { out: (text) => out.push(text), err: (text) => err.push(text) })
  if (typeof running === 'number') return { code: running, out: out.join('\n'), err: err.join('\n') }
  cleanups.push(() => running.stop())
  return { running, out: out.join('\n'), err: err.join('\n') }
}

describe('flags', () => {
  test('--help tells every flag and starts nothing', async () => {
    expect(await run('--help')).toEqual({ code: 0, out: USAGE, err: '' })
    for (const flag of ['--port', '--host', '--origin', '--no-relay', '--fresh', '--quiet', '--help'])
      expect(USAGE).toContain(flag)
  })

  test.each<[string[], string]>([
    [['--prot', '1'], "Unknown option '--prot'"],
    [['8787'], "Unexpected argument '8787'"],
    [['--port'], "Option '--port <value>' argument missing"],
    [['--port', 'eighty'], '--port must be a number from 0 to 65535, not "eighty"'],
    [['--port', '65536'], '--port must be a number from 0 to 65535, not "65536"'],
    [['--host', ''], '--host must not be empty'],
  ])('%j: %s', async (args, reason) => {
    expect(await run(...args)).toEqual({
      code: 2,
      out: '',
      err: `grainmesh-signaling: ${reason}\nTry --help.`,
    })
  })

  test('--origin is checked and used', async () => {
    expect((await run('--origin', 'app.example.com')).err).toContain('"app.example.com" is no origin')
    const { running } = await run('--port', '0', '--origin', 'https://app.example.com')
    expect((await rawClient(running!.url).closed).code).toBe(CloseCode.forbiddenOrigin)
  })
})

describe('running', () => {
  test('--fresh: nobody is coming back', async () => {
    const [first, again] = [await run('--port', '0', '--fresh'), await run('--port', '0')]
    expect((await member(first.running!.url, 1)).welcome.quietMs).toBe(60_000)
    expect((await member(again.running!.url, 1)).welcome.quietMs).toBeLessThan(60_000)
  })

  test('prints where it listens', async () => {
    const { running, out } = await run('--port', '0')
    expect(out).toMatch(
      /^Signaling server: ws:\/\/127\.0\.0\.1:\d+\nHealth: http:\/\/127\.0\.0\.1:\d+\/healthz$/,
    )
    expect(out).toContain(running!.url)
    expect((await member(running!.url, 1)).welcome.v).toBe(1)
  })

  test('--quiet prints nothing', async () => {
    expect(await run('--port', '0', '--quiet')).toMatchObject({ out: '', err: '' })
  })

  test('a taken port is told, with what to do', async () => {
    const { running } = await run('--port', '0')
    const port = new URL(running!.url).port
    expect(await run('--port', port)).toEqual({
      code: 1,
      out: '',
      err:
        `grainmesh-signaling: port ${port} of 127.0.0.1 is taken. ` +
        'Stop what listens there, or choose another with --port (0: any).',
    })
  })

  test('a host that is not of this machine is told', async () => {
    expect((await run('--port', '0', '--host', '203.0.113.1')).err).toContain(
      '"203.0.113.1" is no address of this machine',
    )
  })
})

test.each(['SIGTERM', 'SIGINT'] as const)('as a process: %s drains and ends with code 0', async (signal) => {
  const outDir = fileURLToPath(
    new URL(`../../node_modules/.cache/signaling-command-${signal}`, import.meta.url),
  )
  cleanups.push(() => rm(outDir, { recursive: true, force: true }))
  await build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: fileURLToPath(new URL('../../signaling-server/cli.ts', import.meta.url)),
      outDir,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: 'cli.mjs' } },
    },
  })
  const child = spawn(process.execPath, [`${outDir}/cli.mjs`, '--port', '0'], { stdio: 'pipe' })
  cleanups.push(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = new Promise((resolve) => child.on('exit', (code, by) => resolve([code, by])))
  const url = await until(() => {
    const found = /ws:\S+/.exec(output)
    if (!found) throw new Error(`no address in ${JSON.stringify(output)}`)
    return found[0]
  })
  const tab = await member(url, 1)
  child.kill(signal)
  expect((await tab.closed).code).toBe(CloseCode.goingAway)
  expect(tab.frames.map(({ t }) => t)).toEqual(['welcome', 'goaway'])
  expect(await ended).toEqual([0, null])
})
