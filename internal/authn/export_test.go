package authn

import "net/http"

// By makes the keys come by a transport instead of the network.
func (k *KeyURL) By(transport http.RoundTripper) { k.client.Transport = transport }
