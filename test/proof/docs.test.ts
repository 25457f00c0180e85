/** What docs/proof.md says about itself. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { describeProof } from '../../src/proof/crashes.ts'
import type { Proof } from '../../src/proof/shop-proofs.ts'
import { mutations } from '../simulation/mutations.ts'
import { makeFolder } from '../support/lifecycle.ts'

const root = new URL('../../', import.meta.url)
const text = await readFile(new URL('docs/proof.md', root), 'utf8')

describe('docs/proof.md', () => {
  it('shows a proof that runs, and what it prints', async () => {
    const [, snippet] = /```ts\n([\s\S]*?)```/.exec(text)!
    const file = join(await makeFolder(), 'my.proof.ts')
    await writeFile(file, snippet!.replaceAll("'./src/", `'${root.href}src/`))
    const { myPizza } = (await import(pathToFileURL(file).href)) as { myPizza: Proof }
    expect(text).toContain(describeProof(await myPizza.run()))
  })

  it('lists every mutation', () => {
    const rows = [...text.matchAll(/^\| ([^|]+?) +\| \d+ +\|$/gm)].map(([, name]) => name)
    expect(rows).toEqual(mutations.map(({ name }) => name))
  })
})
