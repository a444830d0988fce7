import { Codec } from 'approxifer/codec'

/** Four queries as five coded rows, of which one stays without an answer. */
export default {
  async fetch() {
    const codec = await Codec.create({ queries: 4, stragglers: 1, decoder: 'least-squares' })
    const group = codec.open()
    for (const query of [7, 2, 1, 0]) group.join(Float32Array.of(query))
    const [lost, ...rows] = [...group.ready, ...group.close()]
    for (const row of rows) group.add(row, row.data) // a model that gives back what it is asked
    const answers = group.answers().map(({ answer }) => Math.round(answer[0]))
    return new Response(`${codec.core.kind}, row ${lost.index} lost: ${answers.join(' ')}`)
  },
}
