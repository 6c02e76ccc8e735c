// Products, by openapi-fetch and the types that openapi-typescript has made of the service's document.

import createClient from "openapi-fetch";
import type { components, paths } from "./product.js";

declare const process: { argv: [string, string, string] };

type Product = components["schemas"]["ProductResponseDTO"];

const client = createClient<paths>({ baseUrl: process.argv[2] });

function ensure(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

async function keep(name: string): Promise<Product> {
  const { data, error } = await client.POST("/api/v1/products", {
    body: { name, price: "120.50", quantity: 10, share: "0.125", code: "ABC", extra: { shelf: [1] } },
  });
  if (error) throw new Error(error.message);
  ensure(data.data.price === "120.50" && data.data.kind === "fresh", data);
  return data.data;
}

async function paged(): Promise<string[]> {
  const names: string[] = [];
  let after: string | undefined;
  do {
    const { data, error, response } = await client.GET("/api/v1/products", {
      params: { query: { limit: 2, sort: "-name", after } },
    });
    if (error) throw new Error(error.message);
    names.push(...data.data.map((each) => each.name));
    const link = response.headers.get("Link")?.match(/<(.*)>/)?.[1];
    after = link && (new URL(link, process.argv[2]).searchParams.get("after") ?? undefined);
  } while (after);
  return names;
}

const kept: Product[] = [];
for (let number = 0; number < 5; number++) kept.push(await keep(`TypeScript ${number}`));
const params = { path: { record_id: kept[0]!.id } };

const read = await client.GET("/api/v1/products/{record_id}", { params });
ensure(read.data?.data.name === "TypeScript 0", read);

const whole = await client.GET("/api/v1/products");
ensure(kept.every(({ id }) => whole.data?.data.some((each) => each.id === id)), whole);
const names = (await paged()).filter((each) => each.startsWith("TypeScript")).join(); // others may keep theirs
ensure(names === [4, 3, 2, 1, 0].map((number) => `TypeScript ${number}`).join(), names);

const updated = await client.PUT("/api/v1/products/{record_id}", { params, body: { quantity: 20 } });
ensure(updated.data?.data.quantity === 20, updated);
const patched = await client.PATCH("/api/v1/products/{record_id}", { params, body: { kind: "used" } });
ensure(patched.data?.data.kind === "used", patched);

const refused = await client.POST("/api/v1/products", {
  body: { name: "TypeScript 9", price: "1", quantity: 10, share: "0.1", code: "x" },
});
ensure(refused.response.status === 422 && refused.error !== undefined, refused);
ensure("errors" in refused.error && Object.keys(refused.error.errors).sort().join() === "code,price", refused);

// @ts-expect-error a name is a text
const wrong: components["schemas"]["CreateProductDTO"]["name"] = 7;
// @ts-expect-error there is no such route
const unknown: keyof paths = "/api/v1/nowhere";

for (const each of kept) {
  const deleted = await client.DELETE("/api/v1/products/{record_id}", {
    params: { path: { record_id: each.id } },
  });
  ensure(deleted.data?.message === "Product deleted successfully", deleted);
}
const gone = await client.GET("/api/v1/products/{record_id}", { params });
ensure(gone.error?.message === "Product not found", [gone, wrong, unknown]);
console.log("done");
