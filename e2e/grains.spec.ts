/** Grains in real tabs: they go on whatever becomes of the tab that hosts them. */
import { expect, test } from './support/fixtures.ts'

test('six tabs count together', async ({ site, openTab }) => {
  const url = `${site.pageUrl('grains')}#count`
  const tabs = []
  for (let i = 0; i < 6; i++) tabs.push(await openTab(url))
  await Promise.all(
    tabs.map((tab) => tab.waitForFunction(() => window.grains.cluster.members.get().length === 6)),
  )
  await Promise.all(
    tabs.map((tab, i) =>
      tab.evaluate(async (i) => {
        for (let n = 0; n < 10; n++) await window.grains.add('likes', `t${i}-${n}`)
      }, i),
    ),
  )
  const ended = (await Promise.all(tabs.map((tab) => tab.evaluate(() => window.grains.ended)))).flat()
  expect(ended.filter(({ code }) => code !== undefined)).toEqual([])
  const names = await tabs[0]!.evaluate(() =>
    window.grains.cluster.grain(window.grains.Counter, 'likes').read(),
  )
  expect(names).toHaveLength(60)
  expect(new Set(names).size).toBe(60)
})
