// Package transcode translates between JSON and protobuf, by programs that it compiles from message
// descriptors.
//
// A Decoder reads JSON once and appends the wire form of one message; it builds no message in between.
// An Encoder writes fields of a message as JSON, or of its wire form. A Compiler makes both, at start-up.
//
// # Guarantees
//
// Whatever a Decoder reads, what it appends parses as its message, with valid UTF-8 throughout. It is
// tolerant of values, because an upstream changes without notice, and strict about JSON (RFC 8259),
// because text that is not JSON says nothing reliable. A [Drift] tells what differed, with a bound on
// its findings and on their names. Equal messages give equal JSON.
//
// A Decoder and an Encoder are safe for concurrent use; a Compiler and a Drift are not. The bytes that
// are given stay their caller's, and with an error the destination is returned as it came.
//
// A document may start with a byte order mark. It is refused, by a [*SyntaxError], if it is empty or not
// JSON; and, by [ErrRoot], if its outermost value is of a type that neither the message nor what it
// wraps can have.
//
// # How a member is read
//
// Members are matched by wire name (see [WireName]), not by proto name. A member may have further names,
// which its annotation lists. It is the same member under each of them, and what differs is recorded
// under its wire name. A member's value is taken as this table says; the last column is what the [Drift]
// records. To drop a value is to leave the field unset, or to leave the element out of its list or map;
// a dropped value is checked like everything else.
//
//	field          JSON                                           taken as            drift
//	any            null                                           unset or empty      -
//	list, map      null as an element                             dropped             NullEntry
//	list, map      null as an element of messages whose root      a message of what   -
//	               field is a single value                        null is to that
//	string         string                                         its text            -
//	string         number, true, false                            the text as written Coerced
//	int64          whole number in range, 1e3 and 1.0 as well     the number          -
//	int64          string of its decimal digits ("-7", not "1e1") the number          Coerced
//	double         number                                         the nearest double  -
//	double         string that is a JSON number                   the nearest double  Coerced
//	bool           true, false                                    the bool            -
//	bool           "true", "false"                                the bool            Coerced
//	message        object                                         the message         -
//	list           array                                          its elements        -
//	map            object                                         its members         -
//	map of strings array or object as an element                  its JSON, as sent   Coerced
//	                                                              but for white space
//	Struct         object                                         the object          -
//	ListValue      array                                          the array           -
//	Value          anything, null as well                         the value           -
//	Value          whole number that a double cannot hold         its text, a string  Coerced
//	Value          number too large for a double                  its text, a string  Coerced
//	Value and kin  arrays and objects that nest too deep          dropped             TooDeep
//	list, map,     array or object that nests too deep            dropped             TooDeep
//	message
//	any            anything else                                  dropped             Mismatch
//
//	member that is no field                                       skipped             Unknown
//	further member of a name, whatever the first one held         skipped             Duplicate
//	invalid UTF-8 byte or lone surrogate in text that is kept     U+FFFD each         InvalidText
//
// Keys of maps and Structs may repeat: all go to the wire, where the last one wins. The elements of a
// list or map, and all that is inside a Value, are recorded under the field. Of a Value that is dropped,
// only what a skipped value has is recorded. A map of strings takes values of every type, whether the
// document declares it free-form or not: the field is the same, and documents go from one to the other.
//
// What is skipped may nest as deep as it likes, and so may the JSON in a map of strings. What is read may
// not, because C++ and Java refuse messages of more than 100 levels. With d arrays and objects around it,
// a list, map or message is dropped if d is MaxDepth, and a Value is dropped if more than MaxValueDepth,
// or more than (MaxDepth-d)/3, nest inside it, itself included.
//
// # Lines of fields
//
// A member may have a line of fields (see [Lines]), one for each type that it had. The newest field whose
// JSON type in the table fits takes the value, and so do older ones that lose nothing of it, such as an
// integer and its text: clients of every age find it. An older field loses some of it if anything is
// dropped in reading, if a double would not be the exact whole number, or if the field is a message that
// has no field of an object that is not empty. What is recorded is how the value differs from the type
// that it fits best, the newest of equals. So it is a Mismatch only if it fits none. Of lines within
// lines the outer three are read like this, and deeper ones by the newest type alone.
//
// # Answers that are wrapped, or bare
//
// An answer may be wrapped although the message is bare, or the reverse. The outermost object is read as
// the message if something of it is known to the message, or if nothing of it is known at all. Otherwise
// it is read as what its first `data` holds, if something of that is known to the message; or else as the
// field `data`, if that is a message to which something of the object is known. An outermost array that no
// root field takes is read as the field `data` if something of it is known to that. All three are recorded
// as Wrapped of the member "*". What else is beside `data` is skipped, and not recorded. An answer that is
// neither as declared nor wrapped may not be of this operation: see [Decoder.Foreign].
//
// An object is known to a message if it has a member that the message has; but null decides nothing, and a
// `data` counts only if it is an array of a type that its field takes, or known to that in turn. A value of
// another type is known to a message if it is known to its root field. A value is known to a field that is
// no message if it is of a type which the field takes; of an array that has elements, one must be known
// too. What nests deeper than MaxDepth is not known.
//
// A message may have the fields of both forms, with the newest of each line deprecated in one of them. It
// is read as both if something of the answer, taken in one form but not in the other, is known to the
// message or to that in its `data`. What differs is then recorded once: of a wrapped answer as of `data`,
// and of a bare one as of the form that is not deprecated. If something of the answer is known in both
// forms, or in neither, each field is read as it is there.
//
// # Root fields
//
// A message may have one root field, besides retired ones. It is the JSON value of the whole message if
// that is not an object: an array for a list or ListValue, a scalar for a scalar, either for a Value. An
// object is always read by its members. At the outermost level null is the empty message, or what null is
// to the root field. An element whose message has a single value as its root field stays in the list
// whatever it is: if the value is dropped, or is null and the field is no Value, the message is empty.
//
// # Invariants
//
// A compiled message never changes, except for which member it expects after another one: that is only a
// guess, shared by all readings, which are right without it. Reading allocates only for what is listed at
// [Decoder.Append]. There is no code for a single message. slow_test.go is a second decoder, written from
// this comment, which tests compare with the first: a rule changes here, there and in the code.
//
// The package knows neither HTTP nor gRPC.
//
// # Files
//
// In the order in which they are to be read: compiler, program, decoder, fields, line, wrap, value,
// number, text, skip, key, wire, absent, drift, encoder, encoder_compile, encoder_options, encoder_mask,
// encoder_line, encoder_missing, encoder_text, encoder_wire, encoder_wire_value, encoder_wire_compile.
package transcode
