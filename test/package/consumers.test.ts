/** Packs the library, installs the tarball where nothing of this repository can be found, and uses it as users do. */
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build } from 'vite'
import { root } from '../../scripts/support/paths.mjs'
import { run, runNode } from '../../scripts/support/processes.mjs'

let folder = ''
let tarball = ''

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'grainmesh-package-'))
  await succeed(run('npm', ['pack', '--silent', '--pack-destination', folder], { quiet: true }))
  const [name] = await readdir(folder)
  if (name === undefined) throw new Error('npm pack made no tarball.')
  tarball = path.join(folder, name)
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the tarball', () => {
  it('holds what is public, and nothing else', async () => {
    const listing = await succeed(run('tar', ['-tzf', tarball], { quiet: true }))
    const files = listing.trim().split('\n').toSorted()
    for (const file of [
      'package.json',
      'README.md',
      'LICENSE',
      'dist/lib/index.js',
      'dist/types/src/index.d.ts',
    ]) {
      expect(files).toContain(`package/${file}`)
    }
    const known =
      /^package\/(?:package\.json|[A-Z]+(?:\.md)?|docs\/[\w-]+\.(?:md|png)|examples\/[\w-]+\.(?:md|ts)|dist\/lib\/[\w-]+\.js(?:\.map)?|dist\/types\/.+\.d\.ts)$/
    expect(files.filter((file) => !known.test(file))).toEqual([])
  })
})

describe('a page built with Vite', () => {
  let consumer = ''
  beforeAll(async () => {
    consumer = await install('browser-consumer')
  }, 120_000)

  it('compiles with the strictest settings, library checks included', async () => {
    await compile(consumer, 'tsconfig.json')
  })

  it('is bundled whole, without anything of Node or of the server', async () => {
    const result = await build({
      root: consumer,
      configFile: false,
      logLevel: 'error',
      build: { write: false, rolldownOptions: { input: path.join(consumer, 'main.ts') } },
    })
    if (!('output' in result)) throw new Error('Vite watches instead of building.')
    const chunks = result.output.filter((file) => file.type === 'chunk')
    const names = new Set(chunks.map(({ fileName }) => fileName))
    const outside = chunks
      .flatMap(({ imports, dynamicImports }) => [...imports, ...dynamicImports])
      .filter((name) => !names.has(name))
    expect(outside).toEqual([])
    const packages = chunks
      .flatMap(({ moduleIds }) => moduleIds)
      .filter((id) => !id.startsWith('\0'))
      .map((id) => /node_modules\/([^/]+)/.exec(id)?.[1] ?? path.basename(id))
    expect([...new Set(packages)].toSorted()).toEqual([
      'devalue',
      'grainmesh',
      'idb-keyval',
      'main.ts',
      'simple-peer',
    ])
  })
})

describe('a program for Node', () => {
  let consumer = ''
  beforeAll(async () => {
    const { version } = JSON.parse(
      await readFile(path.join(root, 'node_modules/@types/node/package.json'), 'utf8'),
    )
    consumer = await install('node-consumer', `@types/node@${String(version)}`)
  }, 120_000)

  it('compiles the library without a DOM and without packages of types', async () => {
    await compile(consumer, 'tsconfig.json')
  })

  it('compiles the signaling server with the types of Node alone', async () => {
    await compile(consumer, 'tsconfig.server.json')
  })

  it('runs both, where there is no window and no WebRTC', async () => {
    const output = await succeed(runNode('main.js', [], { cwd: consumer, quiet: true }))
    const { port, ...rest } = JSON.parse(output) as Record<string, unknown>
    expect(rest).toEqual({
      window: 'undefined',
      invalid: 'invalid-option',
      withoutWebRtc: 'webrtc-unavailable',
      simulated: [],
      joined: [{ self: true, status: 'up', path: 'self' }],
    })
    expect(port).toBeGreaterThan(0)
  })

  it('has the command grainmesh-signaling', async () => {
    const command = path.join(consumer, 'node_modules/.bin/grainmesh-signaling')
    expect(await succeed(run(command, ['--help'], { cwd: consumer, quiet: true }))).toMatch(/^Usage: /)
  })
})

/** Copies a consumer out of the repository and installs the tarball there. */
async function install(name: string, ...packages: readonly string[]): Promise<string> {
  const consumer = path.join(folder, name)
  await cp(path.join(import.meta.dirname, name), consumer, { recursive: true })
  const args = [
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    tarball,
    ...packages,
  ]
  await succeed(run('npm', args, { cwd: consumer, quiet: true }))
  return consumer
}

async function compile(consumer: string, config: string): Promise<void> {
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc')
  await succeed(runNode(compiler, ['-p', config], { cwd: consumer, quiet: true }))
}

/** The output of a process that must end with 0. */
async function succeed(process: ReturnType<typeof run>): Promise<string> {
  const { code, output } = await process
  expect(code, output).toBe(0)
  return output
}
