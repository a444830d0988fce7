/** A page of its own. By its address, `?most=1000`, sizes end there. */

import { showComparison } from './comparison-view'

const most = Number(new URLSearchParams(location.search).get('most')) || undefined
showComparison(document.querySelector('#comparison') as HTMLElement, most)
