/** What stands above docs/index.md on the site: one sentence, two buttons, and facts whose figures stand in the sections that they link to. */

export const hero = {
  name: 'approxifer',
  text: 'Answers in time, while workers are slow, dead or lying',
  tagline: 'Serve one ONNX model from several workers. Each answer says whether it is the model’s own.',
  actions: [
    { theme: 'brand', text: 'Start', link: '/start' },
    // The film is no page of the site: without a target the site would look for it among its own.
    { theme: 'alt', text: 'Watch the film', link: '/film/index.html', target: '_self' },
  ],
}

export const facts = [
  {
    title: 'Slow: p99 13.0 ms, not 99.9',
    details: 'Hedged requests have 22.2 ms, on the same 27 simulated workers.',
    link: '/appendix/performance#p99-in-one-minute',
    linkText: 'npm run bench -- latency',
  },
  {
    title: 'Dead: 98.6 % of lost answers right',
    details: 'The memory predicts them on MNIST, 86.5 % on Fashion. You choose how sure it must be.',
    link: '/appendix/accuracy#parm',
    linkText: 'npm run bench -- accuracy',
  },
  {
    title: 'Lying: out after 1 lie',
    details: 'The median where one of nine workers swaps labels. On MNIST, 99 of 100 are out after 3.',
    link: '/appendix/liars#how-long-until-it-is-ejected',
    linkText: 'npm run bench -- liars',
  },
  {
    title: 'Repeated: 0.31 inferences a query',
    details: 'On MNIST, with a promise that at most .01 of all answers are wrong.',
    link: '/appendix/reuse#what-it-saves',
    linkText: 'npm run bench -- reuse',
  },
]
