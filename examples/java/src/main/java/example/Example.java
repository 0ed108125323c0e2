package example;

import com.google.protobuf.FieldMask;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.FieldMaskUtil;
import com.google.protobuf.util.Structs;
import com.google.protobuf.util.Values;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import internal.samsara.gateway.addresses.v1.AddressGeofence;
import internal.samsara.gateway.addresses.v1.AddressGeofenceCircle;
import internal.samsara.gateway.addresses.v1.AddressesServiceGrpc;
import internal.samsara.gateway.addresses.v1.CreateAddressRequest;
import internal.samsara.gateway.api.v1.FollowOptions;
import internal.samsara.gateway.contacts.v1.ContactsServiceGrpc;
import internal.samsara.gateway.contacts.v1.GetContactRequest;
import internal.samsara.gateway.contacts.v1.UpdateContactRequest;
import internal.samsara.gateway.location_and_speed.v1.FollowLocationAndSpeedRequest;
import internal.samsara.gateway.location_and_speed.v1.ListLocationAndSpeedRequest;
import internal.samsara.gateway.location_and_speed.v1.LocationAndSpeedServiceGrpc;
import internal.samsara.gateway.readings.v1.CreateReadingsRequest;
import internal.samsara.gateway.readings.v1.ListReadingsSnapshotRequest;
import internal.samsara.gateway.readings.v1.ReadingDatapoint;
import internal.samsara.gateway.readings.v1.ReadingsServiceGrpc;
import internal.samsara.gateway.tags.v1.ListTagsRequest;
import internal.samsara.gateway.tags.v1.StreamTagsRequest;
import internal.samsara.gateway.tags.v1.TagsServiceGrpc;
import internal.samsara.gateway.vehicles.v1.GetVehicleRequest;
import internal.samsara.gateway.vehicles.v1.ListVehiclesRequest;
import internal.samsara.gateway.vehicles.v1.StreamVehiclesRequest;
import internal.samsara.gateway.vehicles.v1.VehiclesServiceGrpc;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.OutputStream;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;

/** A client of samsara-gateway in Java: ../README.md says what it shows. */
public final class Example {
    /** Answers may be as large. The gateway sends larger ones than gRPC's default of 4 MiB. */
    private static final int MAX_MESSAGE_BYTES = 64 << 20;

    /** How many records of the feed are read. */
    private static final int RECORDS = 60;

    /** The first of every collection of the sandbox: a vehicle, an asset, a contact. */
    private static final String FIRST = "281474976710657";

    /**
     * Uses all replicas behind a name, leaves one that stops, and repeats what no replica has answered. Numbers are
     * doubles, as in JSON. The health check is of grpc-services: without that it is off without a word.
     */
    private static final Map<String, ?> REPLICAS = Map.of(
            "loadBalancingConfig", List.of(Map.of("round_robin", Map.of())),
            "healthCheckConfig", Map.of("serviceName", ""),
            "methodConfig", List.of(Map.of(
                    "name", List.of(Map.of()),
                    "waitForReady", true,
                    "retryPolicy", Map.of(
                            "maxAttempts", 3.0,
                            "initialBackoff", "0.1s",
                            "maxBackoff", "1s",
                            "backoffMultiplier", 2.0,
                            "retryableStatusCodes", List.of("UNAVAILABLE")))),
            "retryThrottling", Map.of("maxTokens", 100.0, "tokenRatio", 0.1));

    private static final Metadata.Key<String> FAULT = key("samsara-sandbox-fault");
    private static final Metadata.Key<String> ATTEMPTS = key("samsara-attempts");
    private static final Metadata.Key<String> DRIFT = key("samsara-drift");

    public static void main(String[] args) throws Exception {
        var authority = TlsChannelCredentials.newBuilder().trustManager(new File(System.getenv("GATEWAY_CA"))).build();
        var plaintext = InsecureChannelCredentials.create();
        var gateway = channel(System.getenv("GATEWAY"), plaintext, Map.of());
        var tls = channel(System.getenv("GATEWAY_TLS"), authority, Map.of());
        var feed = channel(System.getenv("GATEWAY_FEED"), plaintext, Map.of());
        var replicas = channel(System.getenv("GATEWAY_REPLICAS"), plaintext, REPLICAS);
        try {
            list(gateway);
            follow(feed);
            restarts(replicas);
            quota(gateway);
            argument(gateway);
            removed(gateway);
            value(gateway);
            int64(gateway);
            drift(gateway);
            retries(gateway);
            deadline(gateway);
            tls(tls);
            gzip(gateway);
            leave(gateway);
        } finally {
            List.of(gateway, tls, feed, replicas).forEach(ManagedChannel::shutdownNow);
        }
    }

    /** A channel, which connects as soon as a call needs it, and again whenever the connection is lost. */
    private static ManagedChannel channel(String address, ChannelCredentials credentials, Map<String, ?> config) {
        return Grpc.newChannelBuilder(address, credentials)
                .defaultServiceConfig(config)
                .maxInboundMessageSize(MAX_MESSAGE_BYTES)
                .build();
    }

    private static Metadata.Key<String> key(String name) {
        return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    }

    /** Adds the metadata by which the sandbox makes a call fail. */
    private static ClientInterceptor fault(String fault) {
        var headers = new Metadata();
        headers.put(FAULT, fault);
        return MetadataUtils.newAttachHeadersInterceptor(headers);
    }

    /** The detail of a type that an error carries. */
    private static <T extends Message> T detail(StatusRuntimeException error, Class<T> type)
            throws InvalidProtocolBufferException {
        var status = StatusProto.fromThrowable(error);
        if (status != null) {
            for (var detail : status.getDetailsList()) {
                if (detail.is(type)) {
                    return detail.unpack(type);
                }
            }
        }
        throw new AssertionError("the error has no " + type.getSimpleName(), error);
    }

    /** All vehicles, by one stream: the gateway reads the pages. */
    private static void list(ManagedChannel gateway) {
        var pages = VehiclesServiceGrpc.newBlockingStub(gateway)
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .streamVehicles(StreamVehiclesRequest.newBuilder()
                        .setRequest(ListVehiclesRequest.newBuilder().setLimit(5))
                        .build());
        int vehicles = 0;
        int messages = 0;
        while (pages.hasNext()) {
            vehicles += pages.next().getPage().getDataCount();
            messages++;
        }
        System.out.printf("list: %d vehicles in %d pages%n", vehicles, messages);
    }

    /** A feed, which goes on behind the last message that was dealt with when the stream fails. */
    private static void follow(ManagedChannel channel) throws Exception {
        // A stub that waits for its server is not refused while there is none.
        var feed = LocationAndSpeedServiceGrpc.newBlockingStub(channel).withWaitForReady();
        // A cursor goes with the request that it came from, so that the start time stays as it is.
        var request = ListLocationAndSpeedRequest.newBuilder()
                .addIds(FIRST)
                .setLimit(10)
                .setStartTime(Instant.now().minus(1, ChronoUnit.HOURS).toString())
                .build();
        // A service keeps the cursor where it keeps what it has made of the records.
        var options = FollowOptions.newBuilder();
        var seen = new HashSet<String>();
        int twice = 0;
        boolean lost = false;
        while (seen.size() < RECORDS) {
            var follow = FollowLocationAndSpeedRequest.newBuilder().setRequest(request).setOptions(options).build();
            try (var call = Context.current().withCancellation()) { // See leave.
                var messages = call.call(() -> feed
                        .withDeadlineAfter(1, TimeUnit.MINUTES)
                        .followLocationAndSpeed(follow));
                boolean begun = false;
                while (seen.size() < RECORDS && messages.hasNext()) {
                    var message = messages.next();
                    for (var report : message.getPage().getDataList()) {
                        if (!seen.add(report.getHappenedAtTime())) {
                            twice++;
                        }
                    }
                    if (!begun) {
                        System.err.println("follow begins");
                        begun = true;
                    }
                    if (message.hasCursor()) { // A keep-alive before the first page has none.
                        options.setFromCursor(message.getCursor());
                    }
                }
            } catch (StatusRuntimeException e) {
                if (e.getStatus().getCode() != Status.Code.UNAVAILABLE) {
                    throw e;
                }
                lost = true;
            }
        }
        System.out.printf("follow: %d records, %d of them twice, the gateway was lost: %b%n", seen.size(), twice, lost);
    }

    /** Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted. */
    private static void restarts(ManagedChannel replicas) throws Exception {
        var contacts = ContactsServiceGrpc.newBlockingStub(replicas).withInterceptors(fault("latency=50ms"));
        var request = GetContactRequest.newBuilder().setId(FIRST).build();
        contacts.withDeadlineAfter(10, TimeUnit.SECONDS).getContact(request);
        System.err.println("restarts begin");

        var ended = new AtomicBoolean();
        var calls = new AtomicInteger();
        var failed = new AtomicInteger();
        Runnable call = () -> {
            while (!ended.get()) {
                calls.incrementAndGet();
                try {
                    contacts.withDeadlineAfter(10, TimeUnit.SECONDS).getContact(request);
                } catch (StatusRuntimeException e) {
                    if (failed.getAndIncrement() == 0) {
                        System.err.println(e);
                    }
                }
            }
        };
        var callers = Stream.generate(() -> new Thread(call)).limit(8).toList();
        callers.forEach(Thread::start);
        System.in.transferTo(OutputStream.nullOutputStream());
        ended.set(true);
        for (var caller : callers) {
            caller.join();
        }
        System.err.printf("restarts: %d calls%n", calls.get());
        System.out.printf("restarts: %d calls failed%n", failed.get());
    }

    /** Samsara's rate limit, and when to call again. */
    private static void quota(ManagedChannel gateway) throws InvalidProtocolBufferException {
        try {
            ContactsServiceGrpc.newBlockingStub(gateway)
                    .withInterceptors(fault("status=429; retry-after=30"))
                    .withDeadlineAfter(5, TimeUnit.SECONDS)
                    .getContact(GetContactRequest.newBuilder().setId(FIRST).build());
            throw new AssertionError("quota: the call succeeded");
        } catch (StatusRuntimeException e) {
            System.out.printf("quota: %s, %s, call again in %d s%n",
                    e.getStatus().getCode(),
                    detail(e, ErrorInfo.class).getReason(),
                    detail(e, RetryInfo.class).getRetryDelay().getSeconds());
        }
    }

    /** The field that the gateway refuses, and why. */
    private static void argument(ManagedChannel gateway) throws InvalidProtocolBufferException {
        try {
            ContactsServiceGrpc.newBlockingStub(gateway)
                    .withDeadlineAfter(10, TimeUnit.SECONDS)
                    .updateContact(UpdateContactRequest.newBuilder().setFirstName("Ada").build());
            throw new AssertionError("argument: the call succeeded");
        } catch (StatusRuntimeException e) {
            var violation = detail(e, BadRequest.class).getFieldViolations(0);
            System.out.printf("argument: %s: %s%n", violation.getField(), violation.getDescription());
        }
    }

    /** A value that is removed: its field is in the mask, and unset. */
    private static void removed(ManagedChannel gateway) {
        FieldMask mask = FieldMaskUtil.fromFieldNumbers(
                UpdateContactRequest.class, UpdateContactRequest.PHONE_FIELD_NUMBER);
        var contact = ContactsServiceGrpc.newBlockingStub(gateway)
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .updateContact(UpdateContactRequest.newBuilder().setId(FIRST).setUpdateMask(mask).build())
                .getData();
        // getPhone is "" for a phone that is unset as well as for an empty one: hasPhone tells them apart.
        var phone = contact.hasPhone() ? "the phone " + contact.getPhone() : "no phone";
        System.out.printf("null: contact %s has %s%n", contact.getId(), phone);
    }

    /** A free-form value, sent and read. */
    private static void value(ManagedChannel gateway) {
        var readings = ReadingsServiceGrpc.newBlockingStub(gateway);
        var door = Structs.of(
                "open", Values.of(true),
                "levels", Values.of(List.of(Values.of(1), Values.of(2.5), Values.ofNull())));
        readings.withDeadlineAfter(10, TimeUnit.SECONDS)
                .createReadings(CreateReadingsRequest.newBuilder()
                        .addData(ReadingDatapoint.newBuilder()
                                .setEntityType("asset")
                                .setEntityId(FIRST)
                                .setReadingId("door")
                                .setHappenedAtTime(Instant.now().toString())
                                .setValue(Values.of(door)))
                        .build());
        var read = readings.withDeadlineAfter(10, TimeUnit.SECONDS)
                .listReadingsSnapshot(ListReadingsSnapshotRequest.newBuilder()
                        .setEntityType("asset")
                        .addEntityIds(FIRST)
                        .addReadingIds("door")
                        .build())
                .getData(0).getValue().getStructValue();
        System.out.printf("value: open is %b, levels has %d values%n",
                read.getFieldsOrThrow("open").getBoolValue(),
                read.getFieldsOrThrow("levels").getListValue().getValuesCount());
    }

    /** A whole number beyond 2^53, which is a long like any other. */
    private static void int64(ManagedChannel gateway) {
        var circle = AddressGeofenceCircle.newBuilder()
                .setLatitude(48.137)
                .setLongitude(11.575)
                .setRadiusMeters(9_007_199_254_740_993L);
        var address = AddressesServiceGrpc.newBlockingStub(gateway)
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .createAddress(CreateAddressRequest.newBuilder()
                        .setName("Example in Java")
                        .setFormattedAddress("Marienplatz 1, 80331 München")
                        .setGeofence(AddressGeofence.newBuilder().setCircle(circle))
                        .build())
                .getData();
        System.out.printf("int64: %d%n", address.getGeofence().getCircle().getRadiusMeters());
    }

    /** How an answer differed from its message: the trailer says it, and the call succeeds. */
    private static void drift(ManagedChannel gateway) {
        var trailers = new AtomicReference<Metadata>();
        VehiclesServiceGrpc.newBlockingStub(gateway)
                .withInterceptors(
                        fault("drift"),
                        MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailers))
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .getVehicle(GetVehicleRequest.newBuilder().setId(FIRST).build());
        System.out.printf("drift: %s%n", trailers.get().get(DRIFT));
    }

    /** How often the gateway asked Samsara for one call. */
    private static void retries(ManagedChannel gateway) {
        var headers = new AtomicReference<Metadata>();
        ContactsServiceGrpc.newBlockingStub(gateway)
                .withInterceptors(
                        fault("status=503; first=2"),
                        MetadataUtils.newCaptureMetadataInterceptor(headers, new AtomicReference<>()))
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .getContact(GetContactRequest.newBuilder().setId(FIRST).build());
        System.out.printf("retries: %s attempts%n", headers.get().get(ATTEMPTS));
    }

    /** A call that ends in time, although Samsara would answer later. */
    private static void deadline(ManagedChannel gateway) {
        try {
            ContactsServiceGrpc.newBlockingStub(gateway)
                    .withInterceptors(fault("latency=5s"))
                    .withDeadlineAfter(300, TimeUnit.MILLISECONDS)
                    .getContact(GetContactRequest.newBuilder().setId(FIRST).build());
            throw new AssertionError("deadline: the call succeeded");
        } catch (StatusRuntimeException e) {
            System.out.printf("deadline: %s%n", e.getStatus().getCode());
        }
    }

    /** A server that is known by its certificate. */
    private static void tls(ManagedChannel gateway) {
        var tags = TagsServiceGrpc.newBlockingStub(gateway)
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .listTags(ListTagsRequest.newBuilder().setLimit(100).build());
        System.out.printf("tls: %d tags%n", tags.getDataCount());
    }

    /** A request that is compressed. Its answer is as well, which grpc-java accepts by itself. */
    private static void gzip(ManagedChannel gateway) {
        var tags = TagsServiceGrpc.newBlockingStub(gateway)
                .withCompression("gzip")
                .withDeadlineAfter(10, TimeUnit.SECONDS)
                .listTags(ListTagsRequest.newBuilder().setLimit(100).build());
        System.out.printf("gzip: %d tags%n", tags.getDataCount());
    }

    /**
     * A stream that is left before its end. Whoever only stops to read from the iterator leaves the call open until
     * its deadline, for an iterator cannot be closed. The call ends with the context that it was made in.
     */
    private static void leave(ManagedChannel gateway) throws Exception {
        var request = StreamTagsRequest.newBuilder().setRequest(ListTagsRequest.newBuilder().setLimit(2)).build();
        try (var call = Context.current().withCancellation()) {
            var pages = call.call(() -> TagsServiceGrpc.newBlockingStub(gateway)
                    .withDeadlineAfter(10, TimeUnit.SECONDS)
                    .streamTags(request));
            pages.next();
        }
        System.out.println("leave: left after 1 page");
    }

    private Example() {}
}
