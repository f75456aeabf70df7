import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleForNode } from '../../scripts/bundle.mjs'
import { cacheFolder, root } from '../../scripts/support/paths.mjs'
import { runNode } from '../../scripts/support/processes.mjs'

const folder = path.join(cacheFolder, `test-${process.pid}`)
const entry = path.join(folder, 'entry.ts')

beforeAll(async () => {
  await mkdir(folder, { recursive: true })
  await writeFile(path.join(folder, 'part.ts'), `export const part: string = 'one'\n`)
  await writeFile(
    entry,
    `import { part } from './part.ts'
interface Padding {
  readonly lines: 'so that the line below has another number in JavaScript'
}
export type { Padding }
console.log(JSON.stringify({ part, args: process.argv.slice(2) }))
if (process.argv.includes('--fail')) throw new Error('failed as asked')
`,
  )
})

afterAll(async () => {
  const made = path.dirname(path.dirname(await bundleForNode(entry)))
  await rm(made, { recursive: true, force: true })
  await rm(folder, { recursive: true, force: true })
})

describe('run.mjs', () => {
  it('runs TypeScript with the arguments it is given', async () => {
    const { code, output } = await runNode('scripts/run.mjs', [entry, 'a', '--b'], { quiet: true })
    expect({ code, output: JSON.parse(output) }).toEqual({
      code: 0,
      output: { part: 'one', args: ['a', '--b'] },
    })
  })

  it('names the lines of the TypeScript file when it fails', async () => {
    const { code, output } = await runNode('scripts/run.mjs', [entry, '--fail'], { quiet: true })
    expect(code).toBe(1)
    expect(output).toContain(`${path.relative(root, entry)}:7`)
  })

  it('says which file is missing', async () => {
    const { code, output } = await runNode('scripts/run.mjs', ['src/nothing.ts'], { quiet: true })
    expect(code).toBe(1)
    expect(output).toContain('There is no src/nothing.ts')
  })
})

describe('bundleForNode', () => {
  it('reuses a bundle until one of its files changes', async () => {
    const first = await bundleForNode(entry)
    const { mtimeMs } = await stat(first)
    expect(await bundleForNode(entry)).toBe(first)
    expect((await stat(first)).mtimeMs).toBe(mtimeMs)
    await writeFile(path.join(folder, 'part.ts'), `export const part: string = 'two'\n`)
    const second = await bundleForNode(entry)
    expect(second).not.toBe(first)
    expect((await runNode(second, [], { quiet: true })).output).toContain('"two"')
  })
})
