import { describe, expect, it } from 'vitest'
import { parseSimOptions, replayCommand } from '../../src/testing/cli/options.ts'
import type { SimOptions } from '../../src/testing/cli/options.ts'

const parse = (line: string) => parseSimOptions(line.split(' ').filter(Boolean), 2)
const options = (line: string): SimOptions => {
  const parsed = parse(line)
  if (parsed.kind !== 'run') throw new Error(`not run: ${JSON.stringify(parsed)}`)
  return parsed.options
}
const problems = (line: string): readonly string[] => {
  const parsed = parse(line)
  return parsed.kind === 'wrong' ? parsed.problems : []
}

describe('npm run sim', () => {
  it('has defaults for everything', () => {
    expect(options('')).toEqual({
      nodes: 20,
      seeds: 50,
      firstSeed: 1,
      model: 'core',
      maxLinks: 31,
      trace: false,
      workers: 2,
    })
  })

  it('reads flags in both spellings, and traces a single seed by default', () => {
    expect(options('--nodes 50 --seeds=200 --model scalar')).toMatchObject({
      nodes: 50,
      seeds: 200,
      model: 'scalar',
    })
    expect(options('--seed 7')).toMatchObject({ seeds: 1, firstSeed: 7, trace: true, workers: 1 })
    expect(options('--seed 7 --no-trace').trace).toBe(false)
    expect(parse('--nodes x --help').kind).toBe('help')
  })

  it.each([
    ['--nodes', /--nodes must be a whole number from 1 to 500, got nothing/],
    ['--nodes 0', /got '0'/],
    ['--seeds 1.5', /--seeds must be a whole number/],
    ['--model raft', /--model must be core or scalar, got 'raft'/],
    ['--frobnicate', /'--frobnicate' is no flag/],
    ['12', /'12' is no flag/],
    ['--seed 1 --seeds 2', /leave out --seeds/],
    ['--trace', /--trace prints one run/],
  ])('names what is wrong with %s', (line, message) => {
    expect(problems(line).join('\n')).toMatch(message)
  })

  it('names every wrong flag at once', () => {
    expect(problems('--nodes x --seeds y --zzz')).toHaveLength(3)
  })

  it('prints a command that parses to the same run', () => {
    const failing = options('--nodes 30 --seeds 100 --max-links 8 --model scalar')
    const command = replayCommand(failing, 77).replace('npm run sim -- ', '')
    expect(options(command)).toMatchObject({
      nodes: 30,
      maxLinks: 8,
      model: 'scalar',
      firstSeed: 77,
      seeds: 1,
    })
  })
})
