package example

import com.google.protobuf.Message
import com.google.protobuf.util.FieldMaskUtil
import com.google.protobuf.util.Structs
import com.google.protobuf.util.Values
import com.google.rpc.BadRequest
import com.google.rpc.ErrorInfo
import com.google.rpc.RetryInfo
import internal.samsara.gateway.addresses.v1.AddressGeofence
import internal.samsara.gateway.addresses.v1.AddressGeofenceCircle
import internal.samsara.gateway.addresses.v1.AddressesServiceGrpc.getCreateAddressMethod
import internal.samsara.gateway.addresses.v1.CreateAddressRequest
import internal.samsara.gateway.api.v1.FollowOptions
import internal.samsara.gateway.contacts.v1.ContactsServiceGrpc.getGetContactMethod
import internal.samsara.gateway.contacts.v1.ContactsServiceGrpc.getUpdateContactMethod
import internal.samsara.gateway.contacts.v1.GetContactRequest
import internal.samsara.gateway.contacts.v1.UpdateContactRequest
import internal.samsara.gateway.location_and_speed.v1.FollowLocationAndSpeedRequest
import internal.samsara.gateway.location_and_speed.v1.ListLocationAndSpeedRequest
import internal.samsara.gateway.location_and_speed.v1.LocationAndSpeedServiceGrpc.getFollowLocationAndSpeedMethod
import internal.samsara.gateway.readings.v1.CreateReadingsRequest
import internal.samsara.gateway.readings.v1.ListReadingsSnapshotRequest
import internal.samsara.gateway.readings.v1.ReadingDatapoint
import internal.samsara.gateway.readings.v1.ReadingsServiceGrpc.getCreateReadingsMethod
import internal.samsara.gateway.readings.v1.ReadingsServiceGrpc.getListReadingsSnapshotMethod
import internal.samsara.gateway.tags.v1.ListTagsRequest
import internal.samsara.gateway.tags.v1.StreamTagsRequest
import internal.samsara.gateway.tags.v1.TagsServiceGrpc.getListTagsMethod
import internal.samsara.gateway.tags.v1.TagsServiceGrpc.getStreamTagsMethod
import internal.samsara.gateway.vehicles.v1.GetVehicleRequest
import internal.samsara.gateway.vehicles.v1.ListVehiclesRequest
import internal.samsara.gateway.vehicles.v1.StreamVehiclesRequest
import internal.samsara.gateway.vehicles.v1.VehiclesServiceGrpc.getGetVehicleMethod
import internal.samsara.gateway.vehicles.v1.VehiclesServiceGrpc.getStreamVehiclesMethod
import io.grpc.CallOptions
import io.grpc.Channel
import io.grpc.ChannelCredentials
import io.grpc.ClientInterceptors
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import io.grpc.ManagedChannel
import io.grpc.Metadata
import io.grpc.Status
import io.grpc.StatusException
import io.grpc.TlsChannelCredentials
import io.grpc.kotlin.ClientCalls.serverStreamingRpc
import io.grpc.kotlin.ClientCalls.unaryRpc
import io.grpc.protobuf.StatusProto
import io.grpc.stub.MetadataUtils
import java.io.File
import java.time.Instant
import java.time.temporal.ChronoUnit
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicReference
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.minutes
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach

// A client of samsara-gateway in Kotlin: ../README.md says what it shows.
//
// It calls by the functions that the stubs of protoc-gen-grpc-kotlin consist of, with the methods and messages of the
// packages. Who wants such stubs generates them from the .proto files that the packages have.

/** Answers may be as large. The gateway sends larger ones than gRPC's default of 4 MiB. */
private const val MAX_MESSAGE_BYTES = 64 shl 20

/** How many records of the feed are read. */
private const val RECORDS = 60

/** The first of every collection of the sandbox: a vehicle, an asset, a contact. */
private const val FIRST = "281474976710657"

private val FAULT = key("samsara-sandbox-fault")
private val ATTEMPTS = key("samsara-attempts")
private val DRIFT = key("samsara-drift")

suspend fun main() {
    val authority = TlsChannelCredentials.newBuilder().trustManager(File(System.getenv("GATEWAY_CA"))).build()
    val gateway = channel(System.getenv("GATEWAY"), InsecureChannelCredentials.create())
    val secure = channel(System.getenv("GATEWAY_TLS"), authority)
    val feed = channel(System.getenv("GATEWAY_FEED"), InsecureChannelCredentials.create())
    try {
        list(gateway)
        follow(feed)
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
        listOf(gateway, secure, feed).forEach { it.shutdownNow() }
    }
}

/** A channel, which connects as soon as a call needs it, and again whenever the connection is lost. */
private fun channel(address: String, credentials: ChannelCredentials): ManagedChannel =
    Grpc.newChannelBuilder(address, credentials).maxInboundMessageSize(MAX_MESSAGE_BYTES).build()

private fun key(name: String): Metadata.Key<String> = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER)

/** The options of a call that has this time, from now on. */
private fun within(time: Duration): CallOptions =
    CallOptions.DEFAULT.withDeadlineAfter(time.inWholeMilliseconds, TimeUnit.MILLISECONDS)

/** The metadata by which the sandbox makes a call fail. */
private fun fault(fault: String) = Metadata().apply { put(FAULT, fault) }

/** The detail of a type that an error carries. */
private inline fun <reified T : Message> StatusException.detail(): T =
    StatusProto.fromThrowable(this)?.detailsList?.firstOrNull { it.`is`(T::class.java) }?.unpack(T::class.java)
        ?: throw IllegalStateException("the error has no ${T::class.simpleName}", this)

/** All vehicles, by one stream: the gateway reads the pages. */
private suspend fun list(gateway: Channel) {
    val request = StreamVehiclesRequest.newBuilder()
        .setRequest(ListVehiclesRequest.newBuilder().setLimit(5))
        .build()
    var vehicles = 0
    var pages = 0
    serverStreamingRpc(gateway, getStreamVehiclesMethod(), request, within(10.seconds)).collect { message ->
        vehicles += message.page.dataCount
        pages++
    }
    println("list: $vehicles vehicles in $pages pages")
}

/** A feed, which goes on behind the last message that was dealt with when the stream fails. */
private suspend fun follow(feed: Channel) {
    // A cursor goes with the request that it came from, so that the start time stays as it is.
    val request = ListLocationAndSpeedRequest.newBuilder()
        .addIds(FIRST)
        .setLimit(10)
        .setStartTime(Instant.now().minus(1, ChronoUnit.HOURS).toString())
        .build()
    // A service keeps the cursor where it keeps what it has made of the records.
    val options = FollowOptions.newBuilder()
    val seen = mutableSetOf<String>()
    var twice = 0
    var lost = false
    while (seen.size < RECORDS) {
        val follow = FollowLocationAndSpeedRequest.newBuilder().setRequest(request).setOptions(options).build()
        try {
            // A call that waits for its server is not refused while there is none.
            serverStreamingRpc(feed, getFollowLocationAndSpeedMethod(), follow, within(1.minutes).withWaitForReady())
                .onEach { message ->
                    twice += message.page.dataList.count { !seen.add(it.happenedAtTime) }
                    if (!options.hasFromCursor()) System.err.println("follow begins")
                    if (message.hasCursor()) options.fromCursor = message.cursor // A first keep-alive has none.
                }
                .first { seen.size >= RECORDS } // It leaves the stream, see leave.
        } catch (e: StatusException) {
            if (e.status.code != Status.Code.UNAVAILABLE) throw e
            lost = true
        }
    }
    println("follow: ${seen.size} records, $twice of them twice, the gateway was lost: $lost")
}

/** Samsara's rate limit, and when to call again. */
private suspend fun quota(gateway: Channel) {
    val request = GetContactRequest.newBuilder().setId(FIRST).build()
    try {
        unaryRpc(gateway, getGetContactMethod(), request, within(5.seconds), fault("status=429; retry-after=30"))
        error("quota: the call succeeded")
    } catch (e: StatusException) {
        val reason = e.detail<ErrorInfo>().reason
        val wait = e.detail<RetryInfo>().retryDelay.seconds
        println("quota: ${e.status.code}, $reason, call again in $wait s")
    }
}

/** The field that the gateway refuses, and why. */
private suspend fun argument(gateway: Channel) {
    val request = UpdateContactRequest.newBuilder().setFirstName("Ada").build()
    try {
        unaryRpc(gateway, getUpdateContactMethod(), request, within(10.seconds))
        error("argument: the call succeeded")
    } catch (e: StatusException) {
        val violation = e.detail<BadRequest>().fieldViolationsList.first()
        println("argument: ${violation.field}: ${violation.description}")
    }
}

/** A value that is removed: its field is in the mask, and unset. */
private suspend fun removed(gateway: Channel) {
    val type = UpdateContactRequest::class.java
    val mask = FieldMaskUtil.fromFieldNumbers(type, UpdateContactRequest.PHONE_FIELD_NUMBER)
    val request = UpdateContactRequest.newBuilder().setId(FIRST).setUpdateMask(mask).build()
    val contact = unaryRpc(gateway, getUpdateContactMethod(), request, within(10.seconds)).data
    // phone is "" for a phone that is unset as well as for an empty one: hasPhone tells them apart.
    println("null: contact ${contact.id} has ${if (contact.hasPhone()) "the phone ${contact.phone}" else "no phone"}")
}

/** A free-form value, sent and read. */
private suspend fun value(gateway: Channel) {
    val levels = Values.of(listOf(Values.of(1.0), Values.of(2.5), Values.ofNull()))
    val point = ReadingDatapoint.newBuilder()
        .setEntityType("asset")
        .setEntityId(FIRST)
        .setReadingId("door")
        .setHappenedAtTime(Instant.now().toString())
        .setValue(Values.of(Structs.of("open", Values.of(true), "levels", levels)))
    val create = CreateReadingsRequest.newBuilder().addData(point).build()
    unaryRpc(gateway, getCreateReadingsMethod(), create, within(10.seconds))

    val list = ListReadingsSnapshotRequest.newBuilder()
        .setEntityType("asset")
        .addEntityIds(FIRST)
        .addReadingIds("door")
        .build()
    val door = unaryRpc(gateway, getListReadingsSnapshotMethod(), list, within(10.seconds))
        .dataList.first().value.structValue.fieldsMap
    val open = door.getValue("open").boolValue
    println("value: open is $open, levels has ${door.getValue("levels").listValue.valuesCount} values")
}

/** A whole number beyond 2^53, which is a Long like any other. */
private suspend fun int64(gateway: Channel) {
    val circle = AddressGeofenceCircle.newBuilder()
        .setLatitude(48.137)
        .setLongitude(11.575)
        .setRadiusMeters(9_007_199_254_740_993)
    val request = CreateAddressRequest.newBuilder()
        .setName("Example in Kotlin")
        .setFormattedAddress("Marienplatz 1, 80331 München")
        .setGeofence(AddressGeofence.newBuilder().setCircle(circle))
        .build()
    val address = unaryRpc(gateway, getCreateAddressMethod(), request, within(10.seconds)).data
    println("int64: ${address.geofence.circle.radiusMeters}")
}

/** How an answer differed from its message: the trailer says it, and the call succeeds. */
private suspend fun drift(gateway: Channel) {
    val request = GetVehicleRequest.newBuilder().setId(FIRST).build()
    val trailers = AtomicReference<Metadata>()
    val noting = ClientInterceptors.intercept(
        gateway,
        MetadataUtils.newCaptureMetadataInterceptor(AtomicReference(), trailers),
    )
    unaryRpc(noting, getGetVehicleMethod(), request, within(10.seconds), fault("drift"))
    println("drift: ${trailers.get()[DRIFT]}")
}

/** How often the gateway asked Samsara for one call. */
private suspend fun retries(gateway: Channel) {
    val request = GetContactRequest.newBuilder().setId(FIRST).build()
    val headers = AtomicReference<Metadata>()
    val noting = ClientInterceptors.intercept(
        gateway,
        MetadataUtils.newCaptureMetadataInterceptor(headers, AtomicReference()),
    )
    unaryRpc(noting, getGetContactMethod(), request, within(10.seconds), fault("status=503; first=2"))
    println("retries: ${headers.get()[ATTEMPTS]} attempts")
}

/** A call that ends in time, although Samsara would answer later. */
private suspend fun deadline(gateway: Channel) {
    val request = GetContactRequest.newBuilder().setId(FIRST).build()
    try {
        unaryRpc(gateway, getGetContactMethod(), request, within(300.milliseconds), fault("latency=5s"))
        error("deadline: the call succeeded")
    } catch (e: StatusException) {
        println("deadline: ${e.status.code}")
    }
}

/** A server that is known by its certificate. */
private suspend fun tls(gateway: Channel) {
    val request = ListTagsRequest.newBuilder().setLimit(100).build()
    val tags = unaryRpc(gateway, getListTagsMethod(), request, within(10.seconds))
    println("tls: ${tags.dataCount} tags")
}

/** A request that is compressed. Its answer is as well, which grpc-java accepts by itself. */
private suspend fun gzip(gateway: Channel) {
    val request = ListTagsRequest.newBuilder().setLimit(100).build()
    val tags = unaryRpc(gateway, getListTagsMethod(), request, within(10.seconds).withCompression("gzip"))
    println("gzip: ${tags.dataCount} tags")
}

/**
 * A stream that is left before its end. A flow that is not collected to its end cancels its call: by first, take and
 * the like, by an exception, and when its coroutine is cancelled.
 */
private suspend fun leave(gateway: Channel) {
    val request = StreamTagsRequest.newBuilder().setRequest(ListTagsRequest.newBuilder().setLimit(2)).build()
    serverStreamingRpc(gateway, getStreamTagsMethod(), request, within(10.seconds)).first()
    println("leave: left after 1 page")
}
