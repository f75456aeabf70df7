/** The codec of grains in a real page that forbids `eval`, and every script but its own. */
import path from 'node:path'
import { build } from 'vite'
import { root } from '../scripts/support/paths.mjs'
import type { valueCodec as ValueCodecInPage } from '../src/grains/codec.ts'
import { expect, test } from './support/fixtures.ts'

const PAGE = 'http://codec.test/'

test('values go through under the strictest Content-Security-Policy', async ({
  allowErrors,
  browser,
  openTab,
}) => {
  const context = await browser.newContext()
  const script = await bundle()
  await context.route(`${PAGE}**`, (route) =>
    route.request().url().endsWith('.js')
      ? route.fulfill({ contentType: 'text/javascript', body: script })
      : route.fulfill({
          contentType: 'text/html',
          headers: { 'content-security-policy': "default-src 'none'; script-src 'self'" },
          body: '<!doctype html><script src="/codec.js"></script>',
        }),
  )
  // a tab may log no error: a refused eval would be one
  const page = await openTab(PAGE, { context })
  const found = await page.evaluate(() => {
    const { valueCodec } = (window as unknown as { codec: { valueCodec: typeof ValueCodecInPage } }).codec
    const owner = { name: 'Ada', since: new Date(0) }
    const value = [1, owner, owner, 5n, new Map([['k', -0]]), new Set([undefined]), new Float32Array([1, 2])]
    const back = valueCodec.decode(valueCodec.encode(value, 'value'), 'value') as typeof value
    const map = back[4] as Map<string, number>
    const refusal = (given: unknown): string => {
      try {
        valueCodec.encode([given], 'args')
        return 'accepted'
      } catch (error) {
        return (error as Error).message
      }
    }
    return {
      shared: back[1] === back[2],
      date: (back[1] as typeof owner).since instanceof Date,
      bigint: back[3] === 5n,
      zero: Object.is(map.get('k'), -0),
      set: (back[5] as Set<unknown>).has(undefined),
      floats: back[6] instanceof Float32Array && back[6][1] === 2,
      element: refusal({ at: document.createElement('p') }),
      text: refusal(document.createTextNode('x')),
    }
  })
  expect(found).toEqual({
    shared: true,
    date: true,
    bigint: true,
    zero: true,
    set: true,
    floats: true,
    element: expect.stringMatching(/^args\[0\]\.at is a DOM node, P\. Give plain data: /),
    text: expect.stringMatching(/^args\[0\] is a DOM node, #text\. Give plain data: /),
  })
  // the policy is in force
  allowErrors(/Executing inline script violates/)
  const inline = page.addScriptTag({ content: 'window.ran = true' })
  await expect(inline).rejects.toThrow()
  await context.close()
})

/** The codec as one classic script that sets `codec`. */
async function bundle(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      lib: { entry: path.join(root, 'src/grains/codec.ts'), formats: ['iife'], name: 'codec' },
    },
  })
  const [output] = Array.isArray(result) ? result : []
  const code = output?.output[0]?.code
  if (code === undefined) throw new Error('Vite bundled nothing.')
  return code
}
