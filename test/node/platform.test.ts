/** What `nodePlatform` takes. */
import { expect, it } from 'vitest'
import { nodePlatform } from '../../src/node.ts'
import type { NodePlatformOptions } from '../../src/node.ts'

it.each<[unknown, RegExp]>([
  [null, /options must be an object/],
  ['.grainmesh', /options must be an object/],
  [{ fodler: 'x' }, /fodler is not an option/],
  [{ folder: 5 }, /folder must be the path of a folder/],
  [{ folder: '' }, /folder must be the path of a folder/],
])('%j is refused', (options, problem) => {
  const make = () => nodePlatform(options as NodePlatformOptions)
  expect(make).toThrow(problem)
  expect(make).toThrow(expect.objectContaining({ code: 'invalid-option', problems: [expect.any(String)] }))
})

it('a folder is taken, and none is', () => {
  for (const options of [undefined, {}, { folder: 'x' }, { folder: undefined }])
    expect(nodePlatform(options as NodePlatformOptions)).toMatchObject({ transport: false })
})
