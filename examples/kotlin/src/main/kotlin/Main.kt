package example

import com.google.protobuf.Message
import com.google.protobuf.fieldMask
import com.google.protobuf.util.Structs
import com.google.protobuf.util.Values
import com.google.rpc.BadRequest
import com.google.rpc.ErrorInfo
import com.google.rpc.RetryInfo
import internal.samsara.gateway.addresses.v1.AddressesServiceGrpcKt.AddressesServiceCoroutineStub
import internal.samsara.gateway.addresses.v1.addressGeofence
import internal.samsara.gateway.addresses.v1.addressGeofenceCircle
import internal.samsara.gateway.addresses.v1.createAddressRequest
import internal.samsara.gateway.api.v1.followOptions
import internal.samsara.gateway.contacts.v1.ContactsServiceGrpcKt.ContactsServiceCoroutineStub
import internal.samsara.gateway.contacts.v1.getContactRequest
import internal.samsara.gateway.contacts.v1.updateContactRequest
import internal.samsara.gateway.location_and_speed.v1.LocationAndSpeedServiceGrpcKt.LocationAndSpeedServiceCoroutineStub
import internal.samsara.gateway.location_and_speed.v1.followLocationAndSpeedRequest
import internal.samsara.gateway.location_and_speed.v1.listLocationAndSpeedRequest
import internal.samsara.gateway.readings.v1.ReadingsServiceGrpcKt.ReadingsServiceCoroutineStub
import internal.samsara.gateway.readings.v1.createReadingsRequest
import internal.samsara.gateway.readings.v1.listReadingsSnapshotRequest
import internal.samsara.gateway.readings.v1.readingDatapoint
import internal.samsara.gateway.tags.v1.TagsServiceGrpcKt.TagsServiceCoroutineStub
import internal.samsara.gateway.tags.v1.listTagsRequest
import internal.samsara.gateway.tags.v1.streamTagsRequest
import internal.samsara.gateway.vehicles.v1.VehiclesServiceGrpcKt.VehiclesServiceCoroutineStub
import internal.samsara.gateway.vehicles.v1.getVehicleRequest
import internal.samsara.gateway.vehicles.v1.listVehiclesRequest
import internal.samsara.gateway.vehicles.v1.streamVehiclesRequest
import io.grpc.Channel
import io.grpc.ChannelCredentials
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import io.grpc.ManagedChannel
import io.grpc.Metadata
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.TlsChannelCredentials
import io.grpc.kotlin.AbstractCoroutineStub
import io.grpc.protobuf.StatusProto
import io.grpc.stub.MetadataUtils
import java.io.File
import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicBoolean
import java.util.concurrent.atomic.AtomicInteger
import java.util.concurrent.atomic.AtomicReference
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

// A client of samsara-gateway in Kotlin: ../README.md says what it shows. The messages are those of the Java packages.
// pom.xml makes stubs with coroutines and builders for them.

/** Answers may be as large. The gateway sends larger ones than gRPC's default of 4 MiB. */
private const val MAX_MESSAGE_BYTES = 64 shl 20

/** How many records of the feed are read. */
private const val RECORDS = 60

/** The first of every collection of the sandbox: a vehicle, an asset, a contact. */
private const val FIRST = "281474976710657"

/**
 * Uses all replicas behind a name, leaves one that stops, and repeats what no replica has answered. Numbers are doubles,
 * as in JSON. The health check is of grpc-services: without that it is off without a word.
 */
private val REPLICAS = mapOf(
    "loadBalancingConfig" to listOf(mapOf("round_robin" to mapOf<String, Any>())),
    "healthCheckConfig" to mapOf("serviceName" to ""),
    "methodConfig" to listOf(
        mapOf(
            "name" to listOf(mapOf<String, Any>()),
            "waitForReady" to true,
            "retryPolicy" to mapOf(
                "maxAttempts" to 3.0,
                "initialBackoff" to "0.1s",
                "maxBackoff" to "1s",
                "backoffMultiplier" to 2.0,
                "retryableStatusCodes" to listOf("UNAVAILABLE"),
            ),
        ),
    ),
    "retryThrottling" to mapOf("maxTokens" to 100.0, "tokenRatio" to 0.1),
)

private val FAULT = key("samsara-sandbox-fault")
private val ATTEMPTS = key("samsara-attempts")
private val DRIFT = key("samsara-drift")

suspend fun main() {
    val authority = TlsChannelCredentials.newBuilder().trustManager(File(System.getenv("GATEWAY_CA"))).build()
    val plaintext = InsecureChannelCredentials.create()
    val gateway = channel(System.getenv("GATEWAY"), plaintext)
    val secure = channel(System.getenv("GATEWAY_TLS"), authority)
    val feed = channel(System.getenv("GATEWAY_FEED"), plaintext)
    val replicas = channel(System.getenv("GATEWAY_REPLICAS"), plaintext, REPLICAS)
    try {
        list(gateway)
        follow(feed)
        restarts(replicas)
        quota(gateway)
        argument(gateway)
        removed(gateway)
        value(gateway)
        int64(gateway)
        drift(gateway)
        retries(gateway)
        deadline(gateway)
        tls(secure)
        gzip(gateway)
        leave(gateway)
    } finally {
        listOf(gateway, secure, feed, replicas).forEach { it.shutdownNow() }
    }
}

/** A channel, which connects as soon as a call needs it, and again whenever the connection is lost. */
private fun channel(
    address: String,
    credentials: ChannelCredentials,
    config: Map<String, Any> = mapOf(),
): ManagedChannel =
    Grpc.newChannelBuilder(address, credentials)
        .defaultServiceConfig(config)
        .maxInboundMessageSize(MAX_MESSAGE_BYTES)
        .build()

private fun key(name: String): Metadata.Key<String> = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER)

/** A stub whose next call has this time, from now on. */
private fun <S : AbstractCoroutineStub<S>> S.within(time: Duration): S =
    withDeadlineAfter(time.inWholeMilliseconds, TimeUnit.MILLISECONDS)

/** The metadata by which the sandbox makes a call fail. */
private fun fault(fault: String) = Metadata().apply { put(FAULT, fault) }

/** The detail of a type that an error carries. */
private inline fun <reified T : Message> StatusException.detail(): T =
    StatusProto.fromThrowable(this)?.detailsList?.firstOrNull { it.`is`(T::class.java) }?.unpack(T::class.java)
        ?: throw IllegalStateException("the error has no ${T::class.simpleName}", this)

/** All vehicles, by one stream: the gateway reads the pages. */
private suspend fun list(gateway: Channel) {
    val all = streamVehiclesRequest { request = listVehiclesRequest { limit = 5 } }
    var vehicles = 0
    var pages = 0
    VehiclesServiceCoroutineStub(gateway).within(10.seconds).streamVehicles(all).collect { message ->
        vehicles += message.page.dataCount
        pages++
    }
    println("list: $vehicles vehicles in $pages pages")
}

/** A feed, which goes on behind the last message that was dealt with when the stream fails. */
private suspend fun follow(feed: Channel) {
    // A stub that waits for its server is not refused while there is none.
    val locations = LocationAndSpeedServiceCoroutineStub(feed).withWaitForReady()
    // A cursor goes with the request that it came from, so that the start time stays as it is.
    val asked = listLocationAndSpeedRequest {
        ids += FIRST
        limit = 10
        startTime = Instant.now().minus(1, ChronoUnit.HOURS).toString()
    }
    // A service keeps the cursor where it keeps what it has made of the records.
    var cursor: String? = null
    val seen = mutableSetOf<String>()
    var twice = 0
    var lost = false
    while (seen.size < RECORDS) {
        val follow = followLocationAndSpeedRequest {
            request = asked
            options = followOptions { cursor?.let { fromCursor = it } }
        }
        var begun = false
        try {
            locations.within(1.minutes).followLocationAndSpeed(follow)
                .onEach { message ->
                    twice += message.page.dataList.count { !seen.add(it.happenedAtTime) }
                    if (!begun) System.err.println("follow begins")
                    begun = true
                    if (message.hasCursor()) cursor = message.cursor // A first keep-alive has none.
                }
                .first { seen.size >= RECORDS } // It leaves the stream, see leave.
        } catch (e: StatusException) {
            if (e.status.code != Status.Code.UNAVAILABLE) throw e
            lost = true
        }
    }
    println("follow: ${seen.size} records, $twice of them twice, the gateway was lost: $lost")
}

/** Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted. */
private suspend fun restarts(replicas: Channel) {
    val contacts = ContactsServiceCoroutineStub(replicas)
    val first = getContactRequest { id = FIRST }
    suspend fun call() = contacts.within(10.seconds).getContact(first, fault("latency=50ms"))
    call()
    System.err.println("restarts begin")

    val ended = AtomicBoolean()
    val calls = AtomicInteger()
    val failed = AtomicInteger()
    coroutineScope {
        repeat(8) {
            launch(Dispatchers.Default) {
                while (!ended.get()) {
                    calls.incrementAndGet()
                    try {
                        call()
                    } catch (e: StatusException) {
                        if (failed.getAndIncrement() == 0) System.err.println(e)
                    }
                }
            }
        }
        withContext(Dispatchers.IO) { System.`in`.readAllBytes() }
        ended.set(true)
    }
    System.err.println("restarts: $calls calls")
    println("restarts: $failed calls failed")
}

/** Samsara's rate limit, and when to call again. */
private suspend fun quota(gateway: Channel) {
    val first = getContactRequest { id = FIRST }
    try {
        ContactsServiceCoroutineStub(gateway).within(5.seconds).getContact(first, fault("status=429; retry-after=30"))
        error("quota: the call succeeded")
    } catch (e: StatusException) {
        val reason = e.detail<ErrorInfo>().reason
        val wait = e.detail<RetryInfo>().retryDelay.seconds
        println("quota: ${e.status.code}, $reason, call again in $wait s")
    }
}

/** The field that the gateway refuses, and why. */
private suspend fun argument(gateway: Channel) {
    val withoutId = updateContactRequest { firstName = "Ada" }
    try {
        ContactsServiceCoroutineStub(gateway).within(10.seconds).updateContact(withoutId)
        error("argument: the call succeeded")
    } catch (e: StatusException) {
        val violation = e.detail<BadRequest>().fieldViolationsList.first()
        println("argument: ${violation.field}: ${violation.description}")
    }
}

/** A value that is removed: its field is in the mask, and unset. */
private suspend fun removed(gateway: Channel) {
    val withoutPhone = updateContactRequest {
        id = FIRST
        updateMask = fieldMask { paths += "phone" }
    }
    val contact = ContactsServiceCoroutineStub(gateway).within(10.seconds).updateContact(withoutPhone).data
    // phone is "" for a phone that is unset as well as for an empty one: hasPhone tells them apart.
    println("null: contact ${contact.id} has ${if (contact.hasPhone()) "the phone ${contact.phone}" else "no phone"}")
}

/** A free-form value, sent and read. */
private suspend fun value(gateway: Channel) {
    val readings = ReadingsServiceCoroutineStub(gateway)
    val levels = Values.of(listOf(Values.of(1.0), Values.of(2.5), Values.ofNull()))
    val door = readingDatapoint {
        entityType = "asset"
        entityId = FIRST
        readingId = "door"
        happenedAtTime = Instant.now().toString()
        value = Values.of(Structs.of("open", Values.of(true), "levels", levels))
    }
    readings.within(10.seconds).createReadings(createReadingsRequest { data += door })

    val latest = listReadingsSnapshotRequest {
        entityType = "asset"
        entityIds += FIRST
        readingIds += "door"
    }
    val kept = readings.within(10.seconds).listReadingsSnapshot(latest).dataList.first().value.structValue.fieldsMap
    val open = kept.getValue("open").boolValue
    println("value: open is $open, levels has ${kept.getValue("levels").listValue.valuesCount} values")
}

/** A whole number beyond 2^53, which is a Long like any other. */
private suspend fun int64(gateway: Channel) {
    val depot = createAddressRequest {
        name = "Example in Kotlin"
        formattedAddress = "Marienplatz 1, 80331 München"
        geofence = addressGeofence {
            circle = addressGeofenceCircle {
                latitude = 48.137
                longitude = 11.575
                radiusMeters = 9_007_199_254_740_993
            }
        }
    }
    val address = AddressesServiceCoroutineStub(gateway).within(10.seconds).createAddress(depot).data
    println("int64: ${address.geofence.circle.radiusMeters}")
}

/** How an answer differed from its message: the trailer says it, and the call succeeds. */
private suspend fun drift(gateway: Channel) {
    val trailers = AtomicReference<Metadata>()
    VehiclesServiceCoroutineStub(gateway)
        .withInterceptors(MetadataUtils.newCaptureMetadataInterceptor(AtomicReference(), trailers))
        .within(10.seconds)
        .getVehicle(getVehicleRequest { id = FIRST }, fault("drift"))
    println("drift: ${trailers.get()[DRIFT]}")
}

/** How often the gateway asked Samsara for one call. */
private suspend fun retries(gateway: Channel) {
    val headers = AtomicReference<Metadata>()
    ContactsServiceCoroutineStub(gateway)
        .withInterceptors(MetadataUtils.newCaptureMetadataInterceptor(headers, AtomicReference()))
        .within(10.seconds)
        .getContact(getContactRequest { id = FIRST }, fault("status=503; first=2"))
    println("retries: ${headers.get()[ATTEMPTS]} attempts")
}

/** A call that ends in time, although Samsara would answer later. */
private suspend fun deadline(gateway: Channel) {
    val first = getContactRequest { id = FIRST }
    try {
        ContactsServiceCoroutineStub(gateway).within(300.milliseconds).getContact(first, fault("latency=5s"))
        error("deadline: the call succeeded")
    } catch (e: StatusException) {
        println("deadline: ${e.status.code}")
    }
}

/** A server that is known by its certificate. */
private suspend fun tls(gateway: Channel) {
    val tags = TagsServiceCoroutineStub(gateway).within(10.seconds).listTags(listTagsRequest { limit = 100 })
    println("tls: ${tags.dataCount} tags")
}

/** A request that is compressed. Its answer is as well, which grpc-java accepts by itself. */
private suspend fun gzip(gateway: Channel) {
    val tags = TagsServiceCoroutineStub(gateway)
        .withCompression("gzip")
        .within(10.seconds)
        .listTags(listTagsRequest { limit = 100 })
    println("gzip: ${tags.dataCount} tags")
}

/**
 * A stream that is left before its end. A flow that is not collected to its end cancels its call: by first, take and
 * the like, by an exception, and when its coroutine is cancelled.
 */
private suspend fun leave(gateway: Channel) {
    val all = streamTagsRequest { request = listTagsRequest { limit = 2 } }
    TagsServiceCoroutineStub(gateway).within(10.seconds).streamTags(all).first()
    println("leave: left after 1 page")
}
