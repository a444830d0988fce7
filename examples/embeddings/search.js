// Finds the text that is nearest in meaning to a question: all texts become vectors at once, spread over the workers.
const [question = 'software to read documents with markup', url = 'http://localhost:8000'] = process.argv.slice(2)
const texts = ['a library for parsing XML', 'draws graphs of functions', 'a game of cards']

const body = JSON.stringify({ model: 'embedder', input: [question, ...texts] })
const reply = await fetch(`${url}/v1/embeddings`, { method: 'POST', body })
const { data, error } = await reply.json()
if (error) throw new Error(error.message)

const [asked, ...vectors] = data.map(({ embedding }) => embedding)
const similarity = (vector) => vector.reduce((sum, value, i) => sum + value * asked[i], 0)
const found = texts.map((text, i) => ({ text, score: similarity(vectors[i]) })).sort((a, b) => b.score - a.score)
for (const { text, score } of found) console.log(score.toFixed(2), text)
