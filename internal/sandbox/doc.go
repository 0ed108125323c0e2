// Package sandbox is an in-process Samsara to run and test against: an HTTP handler that answers every
// operation of the API with an invented fleet.
//
// It is driven by the same descriptors and annotations as the gateway, and shares no code with it
// beyond them. It reads each HTTP request by itself, strictly, so that it catches what the gateway does
// wrong. What differs from the operation's declaration in any way (an unknown parameter or member,
// commas if keys are to be repeated, a whole number sent as a string, a missing required value, a body
// if none is declared) is refused as Samsara refuses it, and everything that is wrong is named.
// One thing is taken and only logged: repeated keys if values are declared as joined by commas,
// which is what Samsara's own SDKs send.
//
// # Guarantees
//
//   - Replies follow from the seed, the request, what clients have written and the clock, and from
//     nothing else. The same vehicle looks alike in all of them.
//   - Every collection has the ids from 281474976710657 on, as many as the fleet is large, and those of
//     records created since; all others are unknown. If one record refers to another, that one exists.
//   - What clients create, change and delete is kept in memory until the process ends, for every
//     resource that can be read back; at most 10,000 records may be created in a collection. A created
//     record has what its client sent and what the server assigns: its id and those of what it holds,
//     its times, its status, and what the response declares as required, which is empty, 0, false or a
//     time that never was unless it must not be. Nothing else is invented for it, anywhere. All that
//     clients do is done by the first user.
//   - A POST whose records no operation reads, such as that of a fuel purchase, answers what it was
//     sent, and the sandbox keeps nothing of it. An action answers what was sent, too. If a status of
//     the record is called after the action, as accepted is after accept, the record has it from then
//     on.
//   - A patch replaces a list. If an entry of it has its id from the server, as a stop of a route has, and
//     the patch names that id, what the patch leaves out of the entry stays. If an object has one of
//     several branches, as a geofence has circle or polygon, the branch that was sent last stays.
//   - A patch that removes a member which creating a record requires is refused. So is what only one
//     record may have, if another has it: the keys that clients choose, an external id, the username
//     and the licence of a driver, and the customerOrderId of a plan's order.
//   - What the fleet began with does not move: two reads at different times tell the same of it, except
//     what is measured and what testdata/live-members.txt lists.
//   - What is said twice is one fact, in all answers: the values of an entity's attributes, the
//     assignments of a vehicle and a driver, the name of the carrier. A vehicle has the tags that have
//     it, whichever of the two a client changes, and a record is called the same wherever it is shown.
//   - Trailers, equipment and industrial assets are assets. If a client has made an asset or given it a
//     type, the type says which of these it is.
//   - A driver drives, as each asset does, until a client sets his duty status. An odometer goes on from
//     the value that a client sets. Readings that clients send are the latest ones until others are; the
//     newest 10,000 are kept.
//   - A reference to a record that does not exist is refused, by the name of the member and its value, if
//     an operation lists records of the kind, or if it is a stop of a route. Deleting a record takes it
//     out of all others that refer to it, except out of a member that is declared to be always there,
//     which then tells its id. Assignments of it are deleted with it. What was below it in a tree has
//     nothing above it.
//   - A list has the records that its parameters select by ids, by references, by tags and those below
//     them, and by members of the records that they name. A member that has to be asked for, as tags
//     are by includeTags, is shown only then. testdata/ignored-parameters.txt lists what is ignored.
//   - In feeds and streams each record reports at every Tick, and what it reports of its drive agrees
//     with its other reports: positions, headings, speeds and counters are one movement. A stream goes
//     back at most History before its end.
//   - A position in a feed has one cursor, whoever asks for it and when. Two sandboxes of one seed
//     understand each other's.
//   - Every wait, table and reply is bounded; nothing runs between requests. A page takes time in
//     proportion to its records, however large the fleet is and however far back it reaches, except
//     that a filter by a member or by a tree of tags looks at each record that it leaves out.
//
// # Invariants
//
// Sandbox.mu guards all records, so that a reply is of one moment; the faults and the rate limits have
// locks of their own. A record is a value: a change makes a new one. What is invented depends on
// nothing but the seed, the kind and number of the record, the name of the member and the time, so that
// nothing has to be kept of a seeded record that nobody has changed. There is no code for a single
// operation. The package does not import package transcode, whose mistakes it must not share.
//
// The sandbox does not know scopes, and it cannot be used without a token.
//
// # Files
//
// In the order in which they are to be read: sandbox, router, operation, operate, request, jsonbody,
// reply, page, filter, collection, resource, relation, reference, held, fact, attribute, creation, derive,
// fleet, values, schema, drive, history, fault, faults, limits.
package sandbox
