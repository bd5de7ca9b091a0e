// Buys with a client from npm and prints what came: client.mjs NAME WALLET URL [URL…] [+film].
//
// WALLET is an address that takes a BOLT11 by POST and answers the preimage. `+film` stands for the playlist that the last answer
// named, and every file below it. One line of JSON an URL: status, text.

const [name, wallet, ...urls] = process.argv.slice(2);
const pay = async (bolt11) => (await fetch(wallet, { method: 'POST', body: bolt11 })).text();

const clients = {
  async alby() {
    const { fetch402 } = await import('@getalby/lightning-tools/402');
    const paying = { payInvoice: async ({ invoice }) => ({ preimage: await pay(invoice) }) };
    return (url) => fetch402(url, {}, { wallet: paying });
  },
  async mppx() {
    const { Credential, Method, z } = await import('mppx');
    const { Mppx } = await import('mppx/client');
    const charge = Method.from({
      name: 'lightning',
      intent: 'charge',
      schema: {
        credential: { payload: z.object({ preimage: z.string() }) },
        request: z.looseObject({ amount: z.string(), currency: z.string() }),
      },
    });
    const lightning = Method.toClient(charge, {
      async createCredential({ challenge }) {
        const preimage = await pay(challenge.request.methodDetails.invoice);
        return Credential.serialize({ challenge, payload: { preimage } });
      },
    });
    const client = Mppx.create({ methods: [lightning], polyfill: false });
    return (url) => client.fetch(url);
  },
  async l402() {
    const { default: axios } = await import('axios');
    const { MemoryTokenStore, PaymentResult, Wallet, setupL402Interceptor } = (await import('l402')).default;
    class Paying extends Wallet {
      async payInvoice(invoice) { return new PaymentResult(await pay(invoice), true); }
    }
    const client = axios.create({ responseType: 'text', validateStatus: (status) => status !== 402, transformResponse: [(text) => text] });
    setupL402Interceptor(client, new Paying(), new MemoryTokenStore());
    return async (url) => {
      const answer = await client.get(url);
      return { status: answer.status, text: async () => answer.data };
    };
  },
};

const get = await clients[name]();

async function told(url) {
  const answer = await get(url);
  const text = await answer.text();
  console.log(JSON.stringify({ status: answer.status, text }));
  return text;
}

/** A playlist and every file that it names, each by the client itself. */
async function film(url) {
  for (const line of (await told(url)).split('\n')) {
    if (!line || line.startsWith('#')) continue;
    const named = new URL(line, url).href;
    await (named.endsWith('.m3u8') ? film(named) : told(named));
  }
}

let last = '';
for (const url of urls) {
  if (url === '+film') await film(JSON.parse(last).playlist);
  else last = await told(url);
}
